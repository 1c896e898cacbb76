import { describe, expect, test } from 'vitest';
import { DomainError } from '../../../src/domain/domain-error.ts';
import type { Commit, ConfigurationStore } from '../../../src/ports/configuration-store.ts';
import { createRoute, createTenant, exampleKey, exampleTenant, moveRoute } from '../../fakes/example-configuration.ts';
import { createInMemoryConfigurationStore } from '../../fakes/in-memory-configuration-store.ts';
import { Gate, TestReplica } from '../../fakes/test-replica.ts';

const key = exampleKey('v1');
const unavailable = () => new DomainError('DATABASE_UNAVAILABLE', 'the connection broke', { retryDelayMs: 1_000 });

/** What happens to a commit: the store does what it is asked, and its answer arrives or not. */
type Fate = 'done' | 'done_but_lost' | 'lost';

/** A store that some fates await, first to last; then all goes well. `beforeAnswer` runs before a lost answer. */
function fatefulStore(beforeAnswer: () => Promise<unknown> = async () => await Promise.resolve()) {
  const store = createInMemoryConfigurationStore(() => Date.UTC(2026, 5, 1));
  const fates: Fate[] = [];
  const fateful: ConfigurationStore = {
    ...store,
    commit: async (commit: Commit) => {
      const fate = fates.shift() ?? 'done';
      if (fate === 'lost') throw unavailable();
      const outcome = await store.commit(commit);
      if (fate === 'done') return outcome;
      await beforeAnswer();
      throw unavailable();
    },
  };
  return { store, fateful, fates };
}

async function withTenant(beforeAnswer?: () => Promise<unknown>) {
  const { store, fateful, fates } = fatefulStore(beforeAnswer);
  const replica = new TestReplica(fateful);
  await replica.write([createTenant(exampleTenant)]);
  return { store, fates, replica };
}

describe('a write whose commit lost its answer', () => {
  test.for([
    ['was committed', ['done_but_lost']],
    ['was not committed', ['lost']],
    ['was not, was not, and then was', ['lost', 'lost', 'done_but_lost']],
  ] as const)('is carried out once when it %s', async ([, lost]) => {
    const { store, fates, replica } = await withTenant();
    fates.push(...lost);
    const result = await replica.write([createRoute(key)], { requestId: 'id' });
    const log = await store.changesFrom(exampleTenant, 1, 100);
    expect(log).toHaveLength(2);
    expect(result).toEqual({ revision: 2, outcomes: [{ subject: log[1]?.subject, change: log[1] }] });
    expect(await replica.write([createRoute(key)], { requestId: 'id' })).toEqual(result);
    expect(replica.replica.find(exampleTenant)?.position.revision).toBe(2);
  });

  test('is found although others have written since', async () => {
    const others: TestReplica[] = [];
    const bench = await withTenant(async () => await others[0]?.write([moveRoute(key, 'grpc://others')]));
    others.push(new TestReplica(bench.store));
    bench.fates.push('done_but_lost');
    const result = await bench.replica.write([createRoute(key)]);
    expect(result).toMatchObject({ revision: 2, outcomes: [{ change: { revision: 2, action: 'CREATED' } }] });
    expect(await bench.store.changesFrom(exampleTenant, 1, 100)).toHaveLength(3);
  });

  test('does not take an equal change of somebody else for its own', async () => {
    // Nothing of ours was committed, and meanwhile another one created the very same route.
    const { store, fates, replica } = await withTenant();
    const other = new TestReplica(store);
    await other.write([createRoute(exampleKey('warm-up'))]);
    fates.push('lost');
    await other.write([createRoute(key)]);
    const result = await replica.write([createRoute(key)]);
    expect(result).toMatchObject({ revision: 3, outcomes: [{ change: undefined }] });
  });

  test('answers its parts in their order, changes and no-ops alike', async () => {
    const { store, fates, replica } = await withTenant();
    const [two, three] = [exampleKey('v2'), exampleKey('v3')];
    await replica.write([createRoute(two)]);
    fates.push('done_but_lost');
    const result = await replica.write([createRoute(key), createRoute(two), createRoute(three), createRoute(key)]);
    const log = await store.changesFrom(exampleTenant, 1, 100);
    expect(log).toHaveLength(4);
    expect(result.revision).toBe(4);
    expect(result.outcomes.map(({ change }) => change)).toEqual([log[2], undefined, log[3], undefined]);
    expect(result.outcomes.map(({ subject }) => subject.after)).toEqual([
      log[2]?.subject.after,
      log[1]?.subject.after,
      log[3]?.subject.after,
      log[2]?.subject.after,
    ]);
  });

  test('is told that the database is out of reach when that lasts, and may be repeated with its id', async () => {
    const { store, fates, replica } = await withTenant();
    fates.push('lost', 'lost', 'lost', 'lost', 'lost', 'done_but_lost');
    const lost = replica.write([createRoute(key)], { requestId: 'id' });
    await expect(lost).rejects.toMatchObject({ reason: 'DATABASE_UNAVAILABLE', retryDelayMs: 1_000 });
    // The last attempt was committed after all: the repetition finds it, through any replica.
    const again = await new TestReplica(store).write([createRoute(key)], { requestId: 'id' });
    expect(again).toMatchObject({ revision: 2, outcomes: [{ change: { revision: 2, action: 'CREATED' } }] });
    expect(await store.changesFrom(exampleTenant, 1, 100)).toHaveLength(2);
  });
});

describe('a write that the database will not take', () => {
  test('fails alone, whatever shares its commit', async () => {
    const { store, fateful } = fatefulStore();
    const gate = new Gate();
    let held = false;
    const picky: ConfigurationStore = {
      ...fateful,
      commit: async (commit) => {
        if (held) await gate.pass();
        held = false;
        const poisoned = commit.changes.some(
          ({ subject }) => subject.kind === 'route' && subject.after.labels['poison'],
        );
        if (poisoned) throw new DomainError('INTERNAL', 'internal error');
        return await fateful.commit(commit);
      },
    };
    const replica = new TestReplica(picky);
    await replica.write([createTenant(exampleTenant)]);
    held = true;
    const first = replica.write([createRoute(exampleKey('first'))]);
    await gate.reached;
    const results = Promise.allSettled([
      replica.write([createRoute(exampleKey('before'))]),
      replica.write([createRoute(exampleKey('bad'), { labels: { poison: 'yes' } })], { requestId: 'bad' }),
      replica.write([createRoute(exampleKey('after'))]),
    ]);
    gate.open();
    await first;
    expect(await results).toMatchObject([
      { status: 'fulfilled', value: { revision: 3 } },
      { status: 'rejected', reason: { reason: 'INTERNAL' } },
      { status: 'fulfilled', value: { revision: 4 } },
    ]);
    expect(await store.replies(exampleTenant, ['bad'])).toEqual([]);
    expect(await store.getRoute(exampleKey('bad'))).toBeUndefined();
  });
});

describe('a write whose caller goes away', () => {
  test('before its commit is dropped', async () => {
    const { store, replica } = await withTenant();
    const caller = new AbortController();
    caller.abort();
    const dropped = replica.write([createRoute(key)], { signal: caller.signal });
    await expect(dropped).rejects.toMatchObject({ reason: 'DEADLINE_EXCEEDED' });
    expect(await store.getRoute(key)).toBeUndefined();
  });

  test('while it waits behind another commit is dropped', async () => {
    const gate = new Gate();
    const { store, fates, replica } = await withTenant(async () => await gate.pass());
    fates.push('done_but_lost');
    const first = replica.write([createRoute(exampleKey('first'))]);
    await gate.reached;
    const caller = new AbortController();
    const dropped = replica.write([createRoute(key)], { signal: caller.signal });
    caller.abort();
    gate.open();
    await expect(dropped).rejects.toMatchObject({ reason: 'DEADLINE_EXCEEDED' });
    expect((await first).revision).toBe(2);
    expect(await store.getRoute(key)).toBeUndefined();
  });

  test('during its commit is carried out all the same, once', async () => {
    const caller = new AbortController();
    const { store, fates, replica } = await withTenant(async () => {
      caller.abort();
      await Promise.resolve();
    });
    fates.push('done_but_lost');
    const result = await replica.write([createRoute(key)], { signal: caller.signal });
    expect(result.revision).toBe(2);
    expect(await store.changesFrom(exampleTenant, 1, 100)).toHaveLength(2);
  });
});
