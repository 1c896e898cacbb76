import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { findFreePort } from '../../deploy/embedded/listen-address.ts';
import type { SidecarConfig } from '../../sidecar/config.ts';
import { startTestControlPlane } from '../support/control-plane.ts';
import { createDatabase } from '../support/postgres.ts';
import { endsSnapshot, putRoute, putTenant, startTestSidecar, takeUntil } from '../support/sidecar.ts';

let started: AsyncDisposableStack;
let stateDirectory: string;
let address: string;

beforeEach(async () => {
  started = new AsyncDisposableStack();
  stateDirectory = await mkdtemp(join(tmpdir(), 'tm-state-'));
  started.defer(async () => await rm(stateDirectory, { recursive: true, force: true }));
  address = `127.0.0.1:${await findFreePort()}`;
});
afterEach(async () => await started.disposeAsync());

const startControlPlane = async () =>
  started.use(await startTestControlPlane(started.use(await createDatabase(inject('postgresUrl'))).url, { address }));

const startSidecar = async (fields: Partial<SidecarConfig> = {}) =>
  started.use(await startTestSidecar({ source: `grpc://${address}`, stateDirectory, ...fields }));

test('a sidecar that starts while everything else is down answers from its disk, marked stale, and goes on from there', async () => {
  const before = await startControlPlane();
  await putTenant(before.client);
  const revision = await putRoute(before.client, { version: 'v1' }, 'grpc://held:1');
  const first = await startSidecar();
  await first.untilRevision('acme', revision);
  await first[Symbol.asyncDispose]();
  await before.stop();

  const second = await startSidecar();
  const answer = await second.resolve({ version: 'v1' });
  expect(answer.route?.endpoints[0]?.url).toBe('grpc://held:1');
  expect(answer.freshness).toMatchObject({ revision, stale: true });
  // Known, not only not held: the file was complete.
  await expect(second.resolve({ version: 'v9' })).rejects.toMatchObject({ reason: 'ROUTE_NOT_FOUND' });
  // As old as it is, also for those who ask how old.
  const maxStaleness = { $case: 'maxStaleness', value: { seconds: 0n, nanos: 1 } } as const;
  await expect(second.resolve({ version: 'v1' }, { consistency: maxStaleness })).rejects.toMatchObject({
    reason: 'STALENESS_EXCEEDED',
  });
});

test('a sidecar of some services holds those, asks for others, and lets only those be watched', async () => {
  const { client } = await startControlPlane();
  await putTenant(client);
  await putRoute(client, { service: 'other', version: 'v1' }, 'grpc://other:1');
  const revision = await putRoute(client, { version: 'v1' }, 'grpc://cart:1');
  const sidecar = await startSidecar({
    scope: { tenants: ['acme'], onDemand: false, services: new Set(['cart']) },
  });
  const held = await sidecar.untilResolved({ version: 'v1' }, ({ freshness }) => freshness?.revision === revision);
  expect(held.freshness?.source).toBe(1);
  const other = await sidecar.resolve({ service: 'other', version: 'v1' });
  expect(other).toMatchObject({ freshness: { source: 3 }, route: { endpoints: [{ url: 'grpc://other:1' }] } });
  await expect(sidecar.resolve({ version: 'v9' })).rejects.toMatchObject({ reason: 'ROUTE_NOT_FOUND' });
  const told = await takeUntil(sidecar.client.watch({ tenant: 'acme', services: ['cart'] }), endsSnapshot);
  expect(told.at(-1)?.revision).toBe(revision);
  await expect(sidecar.client.watch({ tenant: 'acme' }).next()).rejects.toMatchObject({
    reason: 'SNAPSHOT_NOT_READY',
  });
});

test('a sidecar whose file was harmed says that it knows nothing yet', async () => {
  const before = await startControlPlane();
  await putTenant(before.client);
  const revision = await putRoute(before.client, { version: 'v1' }, 'grpc://held:1');
  const first = await startSidecar();
  await first.untilRevision('acme', revision);
  await first[Symbol.asyncDispose]();
  await before.stop();
  const path = join(stateDirectory, 'acme.snapshot');
  const file = await readFile(path);
  await writeFile(path, file.subarray(0, file.length >> 1));

  const second = await startSidecar({ scope: { tenants: ['acme'], onDemand: false } });
  // Never "not found": that would be a lie.
  await expect(second.resolve({ version: 'v1' }, { timeoutMs: 300 })).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    reason: 'SNAPSHOT_NOT_READY',
  });
});

test('a state directory that cannot be used is refused in one line, before anything listens', async () => {
  await writeFile(join(stateDirectory, 'file'), '');
  await expect(startSidecar({ stateDirectory: join(stateDirectory, 'file') })).rejects.toThrow(
    /^TM_SIDECAR_STATE_DIR=.*file cannot be used: EEXIST/,
  );
});
