import { describe, expect, test } from 'vitest';
import { ReplicaResolver } from '../../../src/app/replica-resolver.ts';
import { DomainError } from '../../../src/domain/domain-error.ts';
import type { Consistency } from '../../../src/domain/freshness.ts';
import { createRoute, createTenant, exampleKey, exampleTenant, moveRoute } from '../../fakes/example-configuration.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { createInMemoryConfigurationStore } from '../../fakes/in-memory-configuration-store.ts';
import { exampleLookup } from '../../fakes/example-traffic-policy.ts';
import { unaskedHistory } from '../../fakes/unasked-history.ts';
import { TestReplica } from '../../fakes/test-replica.ts';

const key = exampleKey('v1');

/** A replica that holds a route, and another one that has moved it since, unknown to the first. */
async function outdated() {
  const store = createInMemoryConfigurationStore(() => Date.UTC(2026, 5, 1));
  let reachable = true;
  const head: typeof store.head = async (tenant) => {
    if (!reachable) throw new DomainError('DATABASE_UNAVAILABLE', 'out of reach', { retryDelayMs: 1_000 });
    return await store.head(tenant);
  };
  const clock = new FakeClock();
  const replica = new TestReplica({ ...store, head }, clock);
  await replica.write([createTenant(exampleTenant)]);
  await replica.write([createRoute(key)]);
  const other = new TestReplica(store);
  await other.write([moveRoute(key, 'grpc://moved')]);
  clock.advance(1_500);
  const resolver = new ReplicaResolver({ replica: replica.replica, history: unaskedHistory, clock, random: () => 0.5 });
  const context = { signal: new AbortController().signal, deadlineMs: clock.wallMs() + 2_000 };
  const resolve = async (
    consistency: Consistency,
    fields: Partial<typeof key> = {},
    call: Partial<typeof context> = {},
  ) => {
    const lookup = exampleLookup({ ...key, ...fields });
    const { resolution, freshness } = await resolver.resolve(lookup, consistency, { ...context, ...call });
    return { url: resolution.route.endpoints[0]?.url, ...freshness };
  };
  return { store, clock, replica, other, resolve, cutOff: () => (reachable = false) };
}

const old = {
  url: 'grpc://cart.acme.internal:8443',
  source: 'SNAPSHOT',
  revision: 2,
  stalenessMs: 1_500,
  stale: false,
};
const fresh = { url: 'grpc://moved', source: 'CONTROL_PLANE', revision: 3, stalenessMs: 0, stale: false };

describe('a lookup on the control plane', () => {
  test('eventual: answers from memory, and says how old that may be', async () => {
    const { resolve } = await outdated();
    expect(await resolve({ kind: 'eventual' })).toEqual(old);
  });

  test('max_staleness: answers from memory while that is provably young enough, else from Postgres', async () => {
    const { resolve } = await outdated();
    expect(await resolve({ kind: 'max_staleness', stalenessMsMax: 1_500 })).toEqual(old);
    expect(await resolve({ kind: 'max_staleness', stalenessMsMax: 1_499 })).toEqual(fresh);
  });

  test('strong: answers as Postgres has it', async () => {
    const { resolve } = await outdated();
    expect(await resolve({ kind: 'strong' })).toEqual(fresh);
  });

  test('min_revision: answers from memory when it holds that revision, and gets it when it does not', async () => {
    const { resolve } = await outdated();
    expect(await resolve({ kind: 'min_revision', revision: 2 })).toEqual(old);
    expect(await resolve({ kind: 'min_revision', revision: 3 })).toMatchObject({ url: 'grpc://moved', revision: 3 });
  });

  test('min_revision: waits for a revision that is not committed yet', async () => {
    const { resolve, clock, other, replica } = await outdated();
    const waiting = resolve({ kind: 'min_revision', revision: 4 });
    await clock.untilSomebodySleeps();
    await other.write([moveRoute(key, 'grpc://again')]);
    await replica.replica.find(exampleTenant)?.catchUp();
    expect(await waiting).toMatchObject({ url: 'grpc://again', revision: 4 });
  });

  test('min_revision: gives up before the deadline of the call, with a reason', async () => {
    const { resolve, clock } = await outdated();
    const waiting = resolve({ kind: 'min_revision', revision: 99 }).catch((error: unknown) => error);
    await clock.untilSomebodySleeps();
    clock.advance(1_999);
    expect(await waiting).toMatchObject({
      reason: 'REVISION_NOT_REACHED',
      metadata: { revision: '99', held_revision: '3' },
      retryDelayMs: 500,
    });
  });

  test('min_revision: stops waiting when the caller goes away', async () => {
    const { resolve, clock } = await outdated();
    const caller = new AbortController();
    const waiting = resolve({ kind: 'min_revision', revision: 99 }, {}, { signal: caller.signal }).catch(
      (error: unknown) => error,
    );
    await clock.untilSomebodySleeps();
    caller.abort();
    expect(await waiting).toBeInstanceOf(DomainError);
  });

  test('finds a tenant that another replica has created a moment ago, however it is asked', async () => {
    const { resolve, other } = await outdated();
    for (const [index, consistency] of (
      [
        { kind: 'eventual' },
        { kind: 'max_staleness', stalenessMsMax: 60_000 },
        { kind: 'strong' },
        { kind: 'min_revision', revision: 2 },
      ] as const
    ).entries()) {
      const tenant = `globex-${index}`;
      await other.write([createTenant(tenant), createRoute({ ...key, tenant })], { tenant });
      expect(await resolve(consistency, { tenant })).toMatchObject({ revision: 2 });
    }
  });

  test('knows that there is no such tenant', async () => {
    const { resolve } = await outdated();
    for (const kind of ['eventual', 'strong'] as const) {
      await expect(resolve({ kind }, { tenant: 'nobody' })).rejects.toMatchObject({ reason: 'TENANT_NOT_FOUND' });
    }
  });
});

describe('a lookup on a control plane that is cut off from Postgres', () => {
  test('is answered from memory', async () => {
    const { resolve, cutOff } = await outdated();
    cutOff();
    expect(await resolve({ kind: 'eventual' })).toEqual(old);
    expect(await resolve({ kind: 'max_staleness', stalenessMsMax: 2_000 })).toEqual(old);
    expect(await resolve({ kind: 'min_revision', revision: 2 })).toEqual(old);
  });

  test.for([
    [
      { kind: 'max_staleness', stalenessMsMax: 1_000 },
      { reason: 'STALENESS_EXCEEDED', retryDelayMs: 1_000 },
    ],
    [{ kind: 'strong' }, { reason: 'DATABASE_UNAVAILABLE' }],
  ] as const)('is refused when it asks for more: %j', async ([consistency, refusal]) => {
    const { resolve, cutOff } = await outdated();
    cutOff();
    await expect(resolve(consistency)).rejects.toMatchObject(refusal);
    // Whether there is such a tenant is not known, so it is not said.
    await expect(resolve(consistency, { tenant: 'nobody' })).rejects.toMatchObject({ reason: 'DATABASE_UNAVAILABLE' });
  });

  test('waits for a revision until its deadline, and gets it when Postgres is back before', async () => {
    const { resolve, cutOff, clock, replica } = await outdated();
    cutOff();
    const lost = resolve({ kind: 'min_revision', revision: 3 }).catch((error: unknown) => error);
    await clock.untilSomebodySleeps();
    clock.advance(2_000);
    expect(await lost).toMatchObject({ reason: 'REVISION_NOT_REACHED' });

    const found = resolve({ kind: 'min_revision', revision: 3 }, {}, { deadlineMs: clock.wallMs() + 2_000 });
    await clock.untilSomebodySleeps();
    await replica.replica.find(exampleTenant)?.catchUp();
    expect(await found).toMatchObject({ url: 'grpc://moved', revision: 3 });
  });
});
