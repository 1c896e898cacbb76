import { describe, expect, test } from 'vitest';
import type { WriteResult } from '../../../src/app/write-request.ts';
import type { Commit, ConfigurationStore } from '../../../src/ports/configuration-store.ts';
import {
  createRoute,
  createTenant,
  exampleKey,
  exampleTenant,
  moveRoute,
  setDefaultVersion,
} from '../../fakes/example-configuration.ts';
import { createInMemoryConfigurationStore } from '../../fakes/in-memory-configuration-store.ts';
import { Gate, TestReplica } from '../../fakes/test-replica.ts';

const nowMs = Date.UTC(2026, 5, 1);

/** A store that counts commits, and can hold one back. */
function recordingStore(): ConfigurationStore & { readonly commits: Commit[]; holdNext: Gate | undefined } {
  const store = createInMemoryConfigurationStore(() => nowMs);
  const recording = {
    ...store,
    commits: [] as Commit[],
    holdNext: undefined as Gate | undefined,
    commit: async (commit: Commit) => {
      recording.commits.push(commit);
      const gate = recording.holdNext;
      recording.holdNext = undefined;
      await gate?.pass();
      return await store.commit(commit);
    },
  };
  return recording;
}

async function withTenant() {
  const store = recordingStore();
  const replica = new TestReplica(store);
  await replica.write([createTenant(exampleTenant, 'ACME')]);
  store.commits.length = 0;
  return { store, replica };
}

/** Writes that share a commit: the first is held back until the others wait behind it. */
async function together(
  { store, replica }: Awaited<ReturnType<typeof withTenant>>,
  writes: (() => Promise<WriteResult>)[],
): Promise<PromiseSettledResult<WriteResult>[]> {
  const gate = new Gate();
  store.holdNext = gate;
  const first = replica.write([createRoute(exampleKey('held-back'))]);
  await gate.reached;
  const results = Promise.allSettled(writes.map(async (write) => await write()));
  gate.open();
  await first;
  return await results;
}

const keys = (count: number) => Array.from({ length: count }, (_, index) => exampleKey(`v${index}`));
const revisionsOf = (results: readonly PromiseSettledResult<WriteResult>[]) =>
  results.map((result) => (result.status === 'fulfilled' ? result.value.revision : (result.reason as unknown)));

describe('writes of one tenant', () => {
  test('that arrive during a commit share the next, in their order', async () => {
    const bench = await withTenant();
    const results = await together(
      bench,
      keys(10).map((key) => async () => await bench.replica.write([createRoute(key)])),
    );
    expect(revisionsOf(results)).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    expect(bench.store.commits.map(({ changes }) => changes.length)).toEqual([1, 10]);
    const log = await bench.store.changesFrom(exampleTenant, 1, 100);
    expect(log.map(({ revision }) => revision)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    // Each stays a transaction of its own.
    expect(log.every((change) => change.commitRevision === change.revision)).toBe(true);
  });

  test('do not fail with their neighbours', async () => {
    const bench = await withTenant();
    const [one, two] = keys(2);
    if (one === undefined || two === undefined) throw new Error('there are two');
    const { replica } = bench;
    const results = await together(bench, [
      async () => await replica.write([createRoute(one)]),
      async () => await replica.write([createRoute(one, { labels: { differs: 'yes' } })]),
      async () => await replica.write([createRoute(two), setDefaultVersion(two, 'no-such-version')]),
      async () => await replica.write([moveRoute(one, 'grpc://moved')]),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled']);
    expect(revisionsOf(results)).toEqual([
      3,
      expect.objectContaining({ reason: 'ALREADY_EXISTS' }),
      expect.objectContaining({ reason: 'VERSION_NOT_FOUND' }),
      4,
    ]);
    expect(await bench.store.getRoute(two)).toBeUndefined();
    expect((await bench.store.getRoute(one))?.endpoints[0]?.url).toBe('grpc://moved');
  });

  test('see what the ones before them in the same commit have made, with its time', async () => {
    const bench = await withTenant();
    const key = exampleKey('v1');
    const { replica } = bench;
    const [created, same, moved] = await together(bench, [
      async () => await replica.write([createRoute(key)]),
      async () => await replica.write([createRoute(key)]),
      async () => await replica.write([moveRoute(key, 'grpc://moved')]),
    ]);
    if (created?.status !== 'fulfilled' || same?.status !== 'fulfilled' || moved?.status !== 'fulfilled') {
      throw new Error('all are carried out');
    }
    expect(bench.store.commits).toHaveLength(2);
    const times = { createTimeMs: nowMs, updateTimeMs: nowMs };
    expect(created.value.outcomes[0]?.subject.after).toMatchObject({ revision: 3, ...times });
    expect(same.value).toMatchObject({ revision: 3, outcomes: [{ change: undefined }] });
    expect(same.value.outcomes[0]?.subject.after).toEqual(created.value.outcomes[0]?.subject.after);
    expect(moved.value.outcomes[0]?.change?.subject.before).toEqual(created.value.outcomes[0]?.subject.after);
    // What this replica remembers is what every other one reads.
    const window = replica.replica.find(exampleTenant)?.window;
    const remembered = [...(window?.unitsAfter(1) ?? [])].flatMap(({ entries }) => entries.map(({ change }) => change));
    expect(remembered).toMatchObject(await bench.store.changesFrom(exampleTenant, 2, 10));
  });

  test('answer a tenant at the revision that it has by then', async () => {
    const bench = await withTenant();
    const results = await together(bench, [
      async () => await bench.replica.write([createRoute(exampleKey('v1'))]),
      async () => await bench.replica.write([createTenant(exampleTenant, 'ACME')]),
    ]);
    expect(results[1]).toMatchObject({
      value: { revision: 3, outcomes: [{ subject: { after: { revision: 3, createTimeMs: nowMs } } }] },
    });
  });

  test('share a commit only as far as its bounds go', async () => {
    const bench = await withTenant();
    await together(
      bench,
      keys(600).map((key) => async () => await bench.replica.write([createRoute(key)])),
    );
    expect(bench.store.commits.map(({ changes }) => changes.length)).toEqual([1, 256, 256, 88]);
  });

  test('with many mutations do not make others wait for a commit that is too large', async () => {
    const bench = await withTenant();
    const services = (service: string, count: number) =>
      Array.from({ length: count }, (_, index) => createRoute(exampleKey(`v${index}`, { service })));
    await together(bench, [
      async () => await bench.replica.write(services('a', 1_500)),
      async () => await bench.replica.write(services('b', 500)),
      async () => await bench.replica.write(services('c', 5_000)),
      async () => await bench.replica.write(services('d', 1)),
    ]);
    expect(bench.store.commits.map(({ changes }) => changes.length)).toEqual([1, 2_000, 5_000, 1]);
  });

  test('beyond what may wait are refused, and take nothing with them', async () => {
    const bench = await withTenant();
    const results = await together(
      bench,
      Array.from({ length: 10_001 }, () => async () => await bench.replica.write([createRoute(exampleKey('same'))])),
    );
    expect(results.filter(({ status }) => status === 'rejected')).toEqual([
      { status: 'rejected', reason: expect.objectContaining({ reason: 'OVERLOADED', retryDelayMs: 1_000 }) },
    ]);
    expect((await bench.store.head(exampleTenant))?.position.revision).toBe(3);
  });

  test('do not wait for those of another tenant', async () => {
    const bench = await withTenant();
    const gate = new Gate();
    bench.store.holdNext = gate;
    const held = bench.replica.write([createRoute(exampleKey('v1'))]);
    await gate.reached;
    const result = await bench.replica.write([createTenant('globex')], { tenant: 'globex' });
    expect(result.revision).toBe(1);
    gate.open();
    expect((await held).revision).toBe(2);
  });
});

describe('the other replicas', () => {
  test('are told of a commit that changes something, and of nothing else', async () => {
    const { replica } = await withTenant();
    const { announced } = replica.signals;
    expect(announced).toEqual([exampleTenant]);
    await replica.write([createRoute(exampleKey('v1'))]);
    expect(announced).toEqual([exampleTenant, exampleTenant]);
    await replica.write([createRoute(exampleKey('v1'))], { requestId: 'no-op' });
    await replica.write([createRoute(exampleKey('v2'))], { validateOnly: true });
    await replica.write([createRoute(exampleKey('v1'), { labels: { a: 'b' } })]).catch(() => {});
    expect(announced).toHaveLength(2);
  });
});

describe('a write that changes nothing', () => {
  test('is answered without a commit', async () => {
    const { store, replica } = await withTenant();
    const key = exampleKey('v1');
    await replica.write([createRoute(key)]);
    const again = await replica.write([createRoute(key)]);
    expect(again).toMatchObject({ revision: 2, outcomes: [{ change: undefined }] });
    expect(store.commits).toHaveLength(1);
  });

  test('because it is only to be validated answers the change that would be made', async () => {
    const { store, replica } = await withTenant();
    const key = exampleKey('v1');
    const dry = await replica.write([createRoute(key)], { validateOnly: true, requestId: 'dry' });
    expect(dry).toMatchObject({ revision: 2, outcomes: [{ change: { action: 'CREATED', revision: 2 } }] });
    expect(store.commits).toHaveLength(0);
    expect(await store.replies(exampleTenant, ['dry'])).toEqual([]);
    // The same id is still free for the real one.
    expect(await replica.write([createRoute(key)], { requestId: 'dry' })).toMatchObject({ revision: 2 });
  });

  test('because it is only to be validated is not seen by its neighbours in a commit', async () => {
    const bench = await withTenant();
    const key = exampleKey('v1');
    const results = await together(bench, [
      async () => await bench.replica.write([createRoute(key)], { validateOnly: true }),
      async () => await bench.replica.write([moveRoute(key, 'grpc://moved')]),
      async () => await bench.replica.write([createRoute(key)]),
    ]);
    expect(revisionsOf(results)).toEqual([3, expect.objectContaining({ reason: 'ROUTE_NOT_FOUND' }), 3]);
  });

  test.for([
    ['a no-op', createRoute(exampleKey('v1')), false, { revision: 4, outcomes: [{ change: { action: 'CREATED' } }] }],
    ['a refusal', createRoute(exampleKey('v1'), { labels: { a: 'b' } }), false, { revision: 4 }],
    ['a dry run', moveRoute(exampleKey('v1'), 'grpc://moved'), true, { reason: 'ROUTE_DELETED' }],
  ] as const)(
    'is worked out again when another replica has moved on: %s',
    async ([, mutation, validateOnly, expected]) => {
      const { store, replica } = await withTenant();
      const other = new TestReplica(store);
      await replica.write([createRoute(exampleKey('v1'))]);
      await other.write([{ kind: 'delete_route', key: exampleKey('v1'), etag: '' }]);
      // Memory still has the route; the answer knows that it is gone.
      const answer = await replica.write([mutation], { validateOnly }).catch((error: unknown) => error);
      expect(answer).toMatchObject(expected);
    },
  );
});

describe('writes through two replicas', () => {
  test('are worked out again on what the other one has committed', async () => {
    const { store, replica } = await withTenant();
    const other = new TestReplica(store);
    const key = exampleKey('v1');
    await other.write([createRoute(key)]);
    expect(await replica.write([createRoute(exampleKey('v2'))])).toMatchObject({ revision: 3 });
    expect(await other.write([moveRoute(key, 'grpc://moved')])).toMatchObject({ revision: 4 });
    await expect(replica.write([createRoute(key)])).rejects.toMatchObject({ reason: 'ALREADY_EXISTS' });
  });

  test('create a tenant once', async () => {
    const store = recordingStore();
    const replicas = [new TestReplica(store), new TestReplica(store), new TestReplica(store)];
    const results = await Promise.all(replicas.map(async (each) => await each.write([createTenant('acme')])));
    expect(results.filter(({ outcomes }) => outcomes[0]?.change !== undefined)).toHaveLength(1);
    expect(await store.changesFrom('acme', 1, 10)).toHaveLength(1);
  });

  test('that lose every race give up in the end, and have written nothing', async () => {
    const { store, replica } = await withTenant();
    const losing = { ...store, commit: async () => await Promise.resolve({ kind: 'conflict' as const }) };
    const loser = new TestReplica(losing);
    await expect(loser.write([createRoute(exampleKey('v1'))])).rejects.toMatchObject({ reason: 'OVERLOADED' });
    expect((await store.head(exampleTenant))?.position.revision).toBe(1);
    expect(await replica.write([createRoute(exampleKey('v1'))])).toMatchObject({ revision: 2 });
  });

  test('to a tenant that does not exist are refused, and take no memory', async () => {
    const { replica } = await withTenant();
    const key = exampleKey('v1', { tenant: 'nobody' });
    await expect(replica.write([createRoute(key)], { tenant: 'nobody' })).rejects.toMatchObject({
      reason: 'TENANT_NOT_FOUND',
    });
    expect(replica.replica.find('nobody')).toBeUndefined();
  });
});
