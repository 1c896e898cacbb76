import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import type { Change } from '../../src/domain/change.ts';
import { DomainError } from '../../src/domain/domain-error.ts';
import { CommitGroups } from '../../src/outbound/postgres/commit-groups.ts';
import type { Commit, CommitOutcome, ConfigurationStore } from '../../src/ports/configuration-store.ts';
import { createRoute, exampleKey } from '../fakes/example-configuration.ts';
import { openTestDatabase, type OpenedDatabase } from './open-test-database.ts';
import { TenantHistory } from './tenant-history.ts';

/** More than go out at once, so that most of them share a statement. */
const neighbours = 12;

describe('commits of several tenants at once', () => {
  let database: OpenedDatabase;
  let store: ConfigurationStore;
  let locker: Client;
  beforeAll(async () => {
    database = await openTestDatabase(inject('postgresUrl'));
    store = database.openStore();
    locker = await database.connect();
  });
  afterAll(async () => await database[Symbol.asyncDispose]());

  async function tenants(prefix: string): Promise<TenantHistory[]> {
    const names = Array.from({ length: neighbours }, (_unused, index) => `${prefix}-${index}`);
    return await Promise.all(names.map((name) => new TenantHistory(store, name).begin()));
  }

  function nextRoute(history: TenantHistory): Commit {
    const { tenant, position: expected } = history;
    return { tenant, expected, changes: history.stage([createRoute(exampleKey('v1', { tenant }))]), replies: [] };
  }

  /** Commits all at once; how each ended, and what its log then holds. */
  async function commitAll(commits: readonly Commit[]): Promise<{ outcomes: unknown[]; revisions: number[] }> {
    const outcomes = await Promise.all(
      commits.map((commit) => store.commit(commit).then(({ kind }) => kind, reasonOf)),
    );
    const logs = await Promise.all(commits.map(({ tenant }) => store.changesFrom(tenant, 1, 100)));
    return { outcomes, revisions: logs.map((log) => log.length) };
  }

  const reasonOf = (error: unknown): unknown => (error instanceof DomainError ? error.reason : error);
  const all = <Value>(value: Value, odd: number, instead: Value): Value[] =>
    Array.from({ length: neighbours }, (_unused, index) => (index === odd ? instead : value));

  test('each is committed as if it were alone, with the time that it answers', async () => {
    const histories = await tenants('each');
    const commits = histories.map(nextRoute);
    const outcomes = await Promise.all(commits.map((commit) => store.commit(commit)));
    for (const [index, outcome] of outcomes.entries()) {
      const history = histories[index] as TenantHistory;
      if (outcome.kind !== 'committed') throw new Error(`${history.tenant} was not committed`);
      history.accept((commits[index] as Commit).changes, outcome);
      expect(await store.changesFrom(history.tenant, 1, 100)).toEqual(history.changes);
      expect(await store.head(history.tenant)).toMatchObject({ position: history.position });
    }
  });

  test('one that is not where it was thought to be conflicts, and the others do not', async () => {
    const histories = await tenants('elsewhere');
    const commits = histories.map(nextRoute);
    commits[7] = { ...(commits[7] as Commit), expected: { revision: 1, commitId: 'of-another-history' } };
    expect(await commitAll(commits)).toEqual({
      outcomes: all('committed', 7, 'conflict'),
      revisions: all(2, 7, 1),
    });
  });

  test('one that the database refuses fails alone', async () => {
    const histories = await tenants('refused');
    const commits = histories.map(nextRoute);
    const [change] = (commits[7] as Commit).changes as [Change];
    if (change.subject.kind !== 'route') throw new Error('a route was staged');
    const after = { ...change.subject.after, lifecycle: { state: 'LOST' } } as unknown as typeof change.subject.after;
    commits[7] = { ...(commits[7] as Commit), changes: [{ ...change, subject: { ...change.subject, after } }] };
    expect(await commitAll(commits)).toEqual({
      outcomes: all<unknown>('committed', 7, 'INTERNAL'),
      revisions: all(2, 7, 1),
    });
  });

  test('one whose request id was answered meanwhile conflicts alone', async () => {
    const histories = await tenants('answered');
    const reply = { requestId: 'same', fingerprint: 'f', revision: 1, outcomes: [] };
    const { tenant, position: expected } = histories[7] as TenantHistory;
    await store.commit({ tenant, expected, changes: [], replies: [reply] });
    const commits = histories.map((history) => ({ ...nextRoute(history), replies: [reply] }));
    expect(await commitAll(commits)).toEqual({ outcomes: all('committed', 7, 'conflict'), revisions: all(2, 7, 1) });
    for (const history of histories) expect(await store.replies(history.tenant, ['same'])).toEqual([reply]);
  });

  test('one whose row is locked waits, and nobody waits for it', async () => {
    const histories = await tenants('locked');
    const commits = histories.map(nextRoute);
    await locker.query('BEGIN');
    await locker.query('SELECT FROM tenants WHERE tenant = $1 FOR UPDATE', [commits[7]?.tenant]);
    const outcomes = commits.map((commit) => store.commit(commit));
    const others = outcomes.filter((_outcome, index) => index !== 7);
    expect((await Promise.all(others)).map(({ kind }) => kind)).toEqual(others.map(() => 'committed'));
    // And again, past the one that waits.
    const again = commits.slice(0, 5).map(({ tenant, changes }) => {
      const { revision, commitId } = changes.at(-1) as Change;
      return store.commit({
        tenant,
        expected: { revision, commitId },
        changes: [],
        replies: [{ requestId: 'later', fingerprint: 'f', revision, outcomes: [] }],
      });
    });
    expect((await Promise.all(again)).map(({ kind }) => kind)).toEqual(again.map(() => 'committed'));
    await locker.query('ROLLBACK');
    expect(await outcomes[7]).toMatchObject({ kind: 'committed' });
  });
});

describe('a group of commits', () => {
  const commitOf = (tenant: string, revision = 1): Commit => ({
    tenant,
    expected: { revision, commitId: 'c' },
    changes: [],
    replies: [],
  });

  function groups(outcome: (commits: readonly Commit[]) => Promise<CommitOutcome[]>) {
    const together: string[][] = [];
    const alone: string[] = [];
    const queue = new CommitGroups({
      alone: (commit) => {
        alone.push(commit.tenant);
        return Promise.resolve({ kind: 'conflict' });
      },
      together: (commits) => {
        together.push(commits.map(({ tenant }) => tenant));
        return outcome(commits);
      },
      isUnanswered: (error) => error === 'unanswered',
    });
    return { queue, together, alone };
  }

  const committed = (commits: readonly Commit[]): Promise<CommitOutcome[]> =>
    Promise.resolve(commits.map(() => ({ kind: 'committed', commitTimeMs: 1 })));

  test('gathers what arrives while two are under way, never a tenant twice', async () => {
    const { queue, together } = groups(committed);
    await Promise.all(['a', 'b', 'c', 'd', 'c', 'e'].map((tenant) => queue.commit(commitOf(tenant))));
    expect(together).toEqual([['a'], ['b'], ['c', 'd', 'e'], ['c']]);
  });

  test('takes no creation of a tenant', async () => {
    const { queue, together, alone } = groups(committed);
    await Promise.all(['a', 'b', 'c'].map((tenant) => queue.commit(commitOf(tenant, 0))));
    expect({ together, alone }).toEqual({ together: [], alone: ['a', 'b', 'c'] });
  });

  test('of which nobody knows what came is not tried again: it may have been committed', async () => {
    // eslint-disable-next-line typescript/prefer-promise-reject-errors -- told apart by identity alone
    const { queue, alone } = groups(() => Promise.reject('unanswered'));
    const outcomes = await Promise.allSettled(['a', 'b', 'c', 'd'].map((tenant) => queue.commit(commitOf(tenant))));
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected', 'rejected']);
    expect(alone).toEqual([]);
  });
});
