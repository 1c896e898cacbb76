import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { findFreePort } from '../../deploy/embedded/listen-address.ts';
import { sidecarLimits } from '../../sidecar/limits.ts';
import type { ResolveResponse } from '../../src/client/index.ts';
import { startTestControlPlane, type TestControlPlane } from '../support/control-plane.ts';
import { createDatabase } from '../support/postgres.ts';
import { putPolicy, putRoute, putTenant, startTestSidecar, takeUntil, type TestSidecar } from '../support/sidecar.ts';

const key = { version: 'v1' };
const isStale = ({ freshness }: ResolveResponse): boolean => freshness?.stale === true;
const isLive = ({ freshness }: ResolveResponse): boolean => freshness?.stale === false;

let started: AsyncDisposableStack;
let databaseUrl: string;
/** Where the sidecar's control plane is, whenever it runs. */
let address: string;

beforeEach(async () => {
  started = new AsyncDisposableStack();
  databaseUrl = started.use(await createDatabase(inject('postgresUrl'))).url;
  address = `127.0.0.1:${await findFreePort()}`;
});
afterEach(async () => await started.disposeAsync());

async function startControlPlane(): Promise<TestControlPlane> {
  return started.use(await startTestControlPlane(databaseUrl, { address }));
}

async function startSidecar(tenants: readonly string[] = ['acme']): Promise<TestSidecar> {
  return started.use(await startTestSidecar({ source: `grpc://${address}`, scope: { tenants, onDemand: true } }));
}

function urlOf({ route }: ResolveResponse): string | undefined {
  return route?.endpoints[0]?.url;
}

describe('a control plane that goes and comes back', () => {
  test('memory answers meanwhile; afterwards it catches up by revision, and is live', async () => {
    const before = await startControlPlane();
    await putTenant(before.client);
    const held = await putRoute(before.client, key, 'grpc://before:1');
    const sidecar = await startSidecar();
    await sidecar.untilRevision('acme', held);
    // Of the same database, and unknown to the sidecar.
    const other = started.use(await startTestControlPlane(databaseUrl));
    const watch = sidecar.client.watch({ tenant: 'acme', afterRevision: held });

    await before.stop();
    const stale = await sidecar.untilResolved(key, isStale);
    expect(urlOf(stale)).toBe('grpc://before:1');
    await putRoute(other.client, key, 'grpc://meanwhile:1');
    await putRoute(other.client, { version: 'v2' }, 'grpc://second:1');
    const last = await putPolicy(other.client, {}, { defaultVersion: 'v2' });
    expect(urlOf(await sidecar.resolve(key))).toBe('grpc://before:1');
    sidecar.clock.advance(60_000);
    expect((await sidecar.resolve(key)).freshness?.stalenessMs).toBeGreaterThanOrEqual(60_000n);

    await startControlPlane();
    // The watchers of the sidecar see the changes alone: its history went on, it was not taken anew.
    const told = await takeUntil(watch, ({ revision }) => revision === last);
    const changes = told.flatMap(({ event }) => (event?.$case === 'changeBatch' ? event.value.changes : []));
    expect(changes.map(({ revision }) => revision)).toEqual([held + 1n, held + 2n, last]);
    expect(told.some(({ event }) => event?.$case === 'snapshotChunk')).toBe(false);
    const live = await sidecar.untilResolved(key, isLive);
    expect(urlOf(live)).toBe('grpc://meanwhile:1');
    expect(live.freshness).toMatchObject({ revision: last });
    expect(live.freshness?.stalenessMs).toBeLessThan(60_000n);
    expect(urlOf(await sidecar.resolve({}))).toBe('grpc://second:1');
  });

  test('a sidecar that was there first is of use once the control plane is', async () => {
    const sidecar = await startSidecar();
    await expect(sidecar.resolve(key, { timeoutMs: 200 })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'SNAPSHOT_NOT_READY',
    });
    // Of the same database, and unknown to the sidecar.
    const other = started.use(await startTestControlPlane(databaseUrl));
    await putTenant(other.client);
    await putRoute(other.client, key, 'grpc://late:1');
    const early = sidecar.untilResolved(key, isLive, { timeoutMs: 1_000 });
    await startControlPlane();
    expect(urlOf(await early)).toBe('grpc://late:1');
  });
});

test('a sidecar that follows another one adds the age of what that one holds', async () => {
  const controlPlane = await startControlPlane();
  await putTenant(controlPlane.client);
  await putRoute(controlPlane.client, key, 'grpc://chained:1');
  const first = await startSidecar();
  const scope = { tenants: ['acme'], onDemand: false };
  const second = started.use(await startTestSidecar({ source: `grpc://${first.address}`, scope }));
  await second.untilRevision('acme', 2n);
  await controlPlane.stop();
  await first.untilResolved(key, isStale);
  first.clock.advance(60_000);
  const old = await second.untilResolved(key, ({ freshness }) => (freshness?.stalenessMs ?? 0n) >= 60_000n);
  expect(urlOf(old)).toBe('grpc://chained:1');
});

describe('tenants that are not of the scope', () => {
  test('one that exists is followed from its first lookup on', async () => {
    const controlPlane = await startControlPlane();
    await putTenant(controlPlane.client, 'globex');
    await putRoute(controlPlane.client, { ...key, tenant: 'globex' }, 'grpc://globex:1');
    const sidecar = await startSidecar([]);
    const tenant = 'globex';
    const first = await sidecar.resolve({ ...key, tenant });
    expect(urlOf(first)).toBe('grpc://globex:1');
    expect(first.freshness).toMatchObject({ source: 1, stale: false });
    await controlPlane.stop();
    expect(urlOf(await sidecar.untilResolved({ ...key, tenant }, isStale))).toBe('grpc://globex:1');
  });

  test('one that comes into being after it was said to be absent is found, at the latest after a moment', async () => {
    const controlPlane = await startControlPlane();
    const sidecar = await startSidecar([]);
    const late = { ...key, tenant: 'late' };
    await expect(sidecar.resolve(late)).rejects.toMatchObject({ code: 'NOT_FOUND', reason: 'TENANT_NOT_FOUND' });
    await putTenant(controlPlane.client, 'late');
    const revision = await putRoute(controlPlane.client, late, 'grpc://late:1');
    // Who has just written it need not wait.
    const consistency = { $case: 'minRevision', value: revision } as const;
    expect(urlOf(await sidecar.resolve(late, { consistency }))).toBe('grpc://late:1');
    sidecar.clock.advance(sidecarLimits.unknownTenantTtlMs + 1);
    const found = await sidecar.resolve(late);
    expect(urlOf(found)).toBe('grpc://late:1');
    expect(found.freshness).toMatchObject({ source: 1, stale: false });
  });

  test('one of the scope that comes into being later is found without a restart', async () => {
    const controlPlane = await startControlPlane();
    const sidecar = await startSidecar(['late']);
    const late = { ...key, tenant: 'late' };
    await expect(sidecar.resolve(late)).rejects.toMatchObject({ reason: 'TENANT_NOT_FOUND' });
    await putTenant(controlPlane.client, 'late');
    const revision = await putRoute(controlPlane.client, late, 'grpc://late:1');
    const consistency = { $case: 'minRevision', value: revision } as const;
    expect(urlOf(await sidecar.resolve(late, { consistency }))).toBe('grpc://late:1');
    expect(urlOf(await sidecar.untilResolved(late, isLive))).toBe('grpc://late:1');
  });
});

test('memory that is too small sends some lookups on, and never answers that a route is not there', async () => {
  const controlPlane = await startControlPlane();
  await putTenant(controlPlane.client);
  const services = Array.from({ length: 12 }, (_, index) => `service-${index}`);
  for (const service of services) await putRoute(controlPlane.client, { service, ...key }, `grpc://${service}:1`);
  const sidecar = started.use(
    await startTestSidecar({
      source: `grpc://${address}`,
      scope: { tenants: ['acme'], onDemand: false },
      // Room for about half of them.
      memoryBytesMax: 4_500,
    }),
  );
  const sources = new Set<number | undefined>();
  for (const service of [...services, ...services.toReversed()]) {
    const answer = await sidecar.resolve({ service, ...key });
    expect(urlOf(answer)).toBe(`grpc://${service}:1`);
    sources.add(answer.freshness?.source);
  }
  // Held, asked for, and remembered of that.
  expect(sources).toEqual(new Set([1, 2, 3]));
  await controlPlane.stop();
  // Those that are not held are remembered, and said to be stale.
  const answers = await Promise.all(
    services.map((service) =>
      sidecar.resolve({ service, ...key }).then(
        (answer) => urlOf(answer) === `grpc://${service}:1`,
        (error: unknown) => (error as { reason?: string }).reason,
      ),
    ),
  );
  expect(new Set(answers)).toEqual(new Set([true]));
  // Never looked up, and not known: nobody can say that there is none.
  await expect(sidecar.resolve({ service: 'service-99', ...key })).rejects.toMatchObject({
    reason: 'CONTROL_PLANE_UNAVAILABLE',
  });
});
