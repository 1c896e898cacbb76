import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { FreshnessSource, TrafficManagerError, type ResolveResponse } from '../../src/client/index.ts';
import { startTestReplicas, type TestControlPlane } from '../support/control-plane.ts';
import { keyOf, putPolicy, putRoute, putTenant, startTestSidecar, type TestSidecar } from '../support/sidecar.ts';

const key = { version: 'v1' };
const memory = FreshnessSource.FRESHNESS_SOURCE_SNAPSHOT;
const controlPlane = FreshnessSource.FRESHNESS_SOURCE_CONTROL_PLANE;
const cache = FreshnessSource.FRESHNESS_SOURCE_CACHE;

const atLeast = (value: bigint) => ({ $case: 'minRevision', value }) as const;
const within = (seconds: number) => ({ $case: 'maxStaleness', value: { seconds: BigInt(seconds), nanos: 0 } }) as const;
const strong = { $case: 'strong', value: true } as const;

function urlOf({ route }: ResolveResponse): string | undefined {
  return route?.endpoints[0]?.url;
}

async function errorOf(asked: Promise<unknown>): Promise<TrafficManagerError> {
  const error = await asked.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof TrafficManagerError) return error;
  throw new Error('it did not fail as a call fails', { cause: error });
}

describe('with a live source', () => {
  const started = new AsyncDisposableStack();
  let first: TestControlPlane;
  let second: TestControlPlane;
  let sidecar: TestSidecar;

  beforeAll(async () => {
    const { replicas } = started.use(await startTestReplicas(inject('postgresUrl'), 2));
    [first, second] = replicas as [TestControlPlane, TestControlPlane];
    await putTenant(first.client);
    await putRoute(first.client, key);
    const source = `grpc://${first.address}`;
    sidecar = started.use(await startTestSidecar({ source, scope: { tenants: ['acme'], onDemand: false } }));
    await sidecar.untilRevision('acme', 2n);
  });
  afterAll(async () => await started.disposeAsync());

  test('eventual is answered from memory', async () => {
    expect((await sidecar.resolve(key)).freshness).toMatchObject({ source: memory, stale: false });
  });

  test('each write is read with its revision, whichever replica wrote it', async () => {
    for (let write = 0; write < 30; write++) {
      const url = `grpc://host-${write}:1`;
      const revision = await putRoute((write % 2 === 0 ? first : second).client, key, url);
      const answer = await sidecar.resolve(key, { consistency: atLeast(revision) });
      expect(urlOf(answer)).toBe(url);
      expect(answer.freshness).toMatchObject({ source: memory, revision });
    }
  });

  test('every kind of change arrives', async () => {
    const { client } = first;
    const v2 = keyOf({ version: 'v2' });
    const reasonAt = async (revision: bigint, version: string): Promise<string> => {
      const asked = sidecar.resolve({ version }, { consistency: atLeast(revision) });
      return await asked.then(
        (answer) => `${urlOf(answer)} ${answer.freshness?.source === memory ? 'from memory' : ''}`,
        (error: unknown) => (error instanceof TrafficManagerError ? error.reason : String(error)),
      );
    };
    const created = await putRoute(client, v2, 'grpc://created:1');
    expect(await reasonAt(created, 'v2')).toBe('grpc://created:1 from memory');
    const updated = await putRoute(client, v2, 'grpc://updated:1');
    expect(await reasonAt(updated, 'v2')).toBe('grpc://updated:1 from memory');
    const deactivated = await client.routes.deactivateRoute({ key: v2 });
    expect(await reasonAt(deactivated.revision, 'v2')).toBe('ROUTE_INACTIVE');
    const activated = await client.routes.activateRoute({ key: v2 });
    expect(await reasonAt(activated.revision, 'v2')).toBe('grpc://updated:1 from memory');
    const deleted = await client.routes.deleteRoute({ key: v2 });
    expect(await reasonAt(deleted.revision, 'v2')).toBe('ROUTE_NOT_FOUND');
    const undeleted = await client.routes.undeleteRoute({ key: v2 });
    expect(await reasonAt(undeleted.revision, 'v2')).toBe('grpc://updated:1 from memory');
    const chosen = await putPolicy(client, {}, { defaultVersion: 'v2' });
    expect(await reasonAt(chosen, '')).toBe('grpc://updated:1 from memory');
    const split = await putPolicy(client, {}, { split: { v2: 0, v1: 1 } });
    expect(await reasonAt(split, '')).toMatch(/^grpc:\/\/(cart|host)/);
  });

  test('a revision that does not come is UNAVAILABLE, also for a caller that would wait for ever', async () => {
    const error = await errorOf(sidecar.resolve(key, { consistency: atLeast(1_000_000n), timeoutMs: Infinity }));
    expect(error).toMatchObject({ code: 'UNAVAILABLE', reason: 'REVISION_NOT_REACHED' });
    expect(error.retryDelayMs).toBeGreaterThan(0);
  });

  test('strong is as Postgres has it now, whoever wrote it', async () => {
    const url = 'grpc://strong:1';
    const revision = await putRoute(second.client, key, url);
    const answer = await sidecar.resolve(key, { consistency: strong });
    expect(urlOf(answer)).toBe(url);
    expect(answer.freshness).toEqual({ source: controlPlane, revision, stalenessMs: 0n, stale: false });
  });
});

describe('with a source that is cut off, and the control plane still there', () => {
  const started = new AsyncDisposableStack();
  let second: TestControlPlane;
  let sidecar: TestSidecar;
  let heldRevision: bigint;

  beforeAll(async () => {
    const { replicas } = started.use(await startTestReplicas(inject('postgresUrl'), 2));
    const [first] = replicas as [TestControlPlane, TestControlPlane];
    [, second] = replicas as [TestControlPlane, TestControlPlane];
    await putTenant(first.client);
    heldRevision = await putRoute(first.client, key, 'grpc://held:1');
    sidecar = started.use(
      await startTestSidecar({
        source: `grpc://${first.address}`,
        controlPlane: second.address,
        scope: { tenants: ['acme'], onDemand: false },
      }),
    );
    await sidecar.untilRevision('acme', heldRevision);
    await first.stop();
    await sidecar.untilResolved(key, ({ freshness }) => freshness?.stale === true);
  });
  afterAll(async () => await started.disposeAsync());

  test('memory goes on answering, says so, and ages', async () => {
    const before = (await sidecar.resolve(key)).freshness;
    sidecar.clock.advance(3_600_000);
    const after = (await sidecar.resolve(key)).freshness;
    expect(after).toMatchObject({ source: memory, revision: heldRevision, stale: true });
    expect((after?.stalenessMs ?? 0n) - (before?.stalenessMs ?? 0n)).toBeGreaterThanOrEqual(3_600_000n);
  });

  test('what memory is too old for, the control plane answers', async () => {
    const revision = await putRoute(second.client, key, 'grpc://newer:1');
    sidecar.clock.advance(10_000);
    expect(urlOf(await sidecar.resolve(key))).toBe('grpc://held:1');
    const fresh = await sidecar.resolve(key, { consistency: within(10) });
    expect(urlOf(fresh)).toBe('grpc://newer:1');
    expect(fresh.freshness).toMatchObject({ source: controlPlane, revision, stale: false });
    expect(fresh.freshness?.stalenessMs).toBeLessThanOrEqual(10_000n);
    const own = await sidecar.resolve(key, { consistency: atLeast(revision) });
    expect(urlOf(own)).toBe('grpc://newer:1');
    // Remembered of the lookup before.
    expect(own.freshness).toMatchObject({ source: cache, revision });
    expect(urlOf(await sidecar.resolve(key, { consistency: strong }))).toBe('grpc://newer:1');
  });

  test('what memory is fresh enough for, it answers', async () => {
    const answer = await sidecar.resolve(key, { consistency: within(86_400) });
    expect(answer.freshness).toMatchObject({ source: memory, stale: true });
    const seen = await sidecar.resolve(key, { consistency: atLeast(heldRevision) });
    expect(seen.freshness).toMatchObject({ source: memory, revision: heldRevision });
  });
});

describe('with neither', () => {
  const started = new AsyncDisposableStack();
  let sidecar: TestSidecar;

  beforeAll(async () => {
    const { replicas } = started.use(await startTestReplicas(inject('postgresUrl'), 1));
    const [only] = replicas as [TestControlPlane];
    await putTenant(only.client);
    await putRoute(only.client, key, 'grpc://held:1');
    const source = `grpc://${only.address}`;
    sidecar = started.use(await startTestSidecar({ source, scope: { tenants: ['acme'], onDemand: true } }));
    await sidecar.untilRevision('acme', 2n);
    await only.stop();
    await sidecar.untilResolved(key, ({ freshness }) => freshness?.stale === true);
  });
  afterAll(async () => await started.disposeAsync());
  beforeEach(() => sidecar.clock.advance(5_000));

  test.each([
    ['strong', strong, 'CONTROL_PLANE_UNAVAILABLE'],
    ['max_staleness', within(1), 'STALENESS_EXCEEDED'],
    ['min_revision', atLeast(3n), 'REVISION_NOT_REACHED'],
  ] as const)('%s is UNAVAILABLE, says why, and when to ask again', async (_, consistency, reason) => {
    const error = await errorOf(sidecar.resolve(key, { consistency }));
    expect(error).toMatchObject({ code: 'UNAVAILABLE', reason });
    expect(error.retryDelayMs).toBeGreaterThan(0);
  });

  test('a tenant that was never asked for is not known to exist, and not known not to', async () => {
    const error = await errorOf(sidecar.resolve({ ...key, tenant: 'globex' }, { timeoutMs: 300 }));
    expect(error).toMatchObject({ code: 'UNAVAILABLE', reason: 'SNAPSHOT_NOT_READY', metadata: { tenant: 'globex' } });
    expect(error.retryDelayMs).toBeGreaterThan(0);
  });

  test('what is held is answered, and what is not in it is known not to exist', async () => {
    expect(urlOf(await sidecar.resolve(key))).toBe('grpc://held:1');
    const error = await errorOf(sidecar.resolve({ version: 'v9' }));
    expect(error).toMatchObject({ code: 'NOT_FOUND', reason: 'ROUTE_NOT_FOUND' });
  });

  test('the breaker opens, and still nothing hangs and nothing lies', async () => {
    const reasons = new Set<string>();
    for (let asked = 0; asked < 30; asked++) {
      const error = await errorOf(sidecar.resolve(key, { consistency: strong }));
      reasons.add(`${error.code} ${error.reason}`);
    }
    expect(reasons).toEqual(new Set(['UNAVAILABLE CONTROL_PLANE_UNAVAILABLE']));
    expect(urlOf(await sidecar.resolve(key))).toBe('grpc://held:1');
  });
});
