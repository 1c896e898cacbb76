import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Change } from '../../src/domain/change.ts';
import type { CommitReply, ConfigurationStore } from '../../src/ports/configuration-store.ts';
import {
  createRoute,
  exampleKey,
  exampleTenant,
  moveRoute,
  setDefaultVersion,
} from '../fakes/example-configuration.ts';
import { TenantHistory } from './tenant-history.ts';

/** Two ways into the same data, as two replicas have them. */
export type OpenedStores = AsyncDisposable & { readonly stores: readonly [ConfigurationStore, ConfigurationStore] };

/** What commits and their log promise, whatever keeps them. */
export function describeCommits(name: string, open: () => Promise<OpenedStores>): void {
  describe(`commits of ${name}`, () => {
    let opened: OpenedStores;
    let store: ConfigurationStore;
    let other: ConfigurationStore;
    let tenants = 0;

    beforeAll(async () => {
      opened = await open();
      [store, other] = opened.stores;
    });
    afterAll(async () => await opened[Symbol.asyncDispose]());

    /** A tenant of the test's own, so that tests do not see each other. */
    async function newTenant(): Promise<TenantHistory> {
      tenants += 1;
      return await new TenantHistory(store, `tenant-${tenants}`).begin();
    }

    /** Everything the store says about a tenant. */
    async function everythingOf(tenant: string, requestIds: readonly string[]): Promise<unknown> {
      return {
        snapshot: await other.load(tenant),
        head: await other.head(tenant),
        changes: await other.changesFrom(tenant, 0, 10_000),
        replies: await other.replies(tenant, requestIds),
      };
    }

    test('the first commit creates the tenant, with the time that the commit answers', async () => {
      const history = new TenantHistory(store, 'first');
      const changes = history.stage([
        { kind: 'create_tenant', tenant: 'first', value: { displayName: 'The First', quotas: {} } },
      ]);
      const outcome = await store.commit({ tenant: 'first', expected: history.position, changes, replies: [] });
      if (outcome.kind === 'conflict') throw new Error('nothing to conflict with');

      const [change] = changes;
      if (change?.subject.kind !== 'tenant') throw new Error('the tenant is created first');
      const { etag } = change.subject.after;
      expect(etag).not.toBe('');
      const tenant = {
        tenant: 'first',
        displayName: 'The First',
        quotas: {},
        state: 'ACTIVE',
        etag,
        revision: 1,
        ownRevision: 1,
        createTimeMs: outcome.commitTimeMs,
      };
      expect(await other.getTenant('first')).toEqual(tenant);
      expect(await other.head('first')).toEqual({ tenant: 'first', position: { revision: 1, commitId: 'first-1' } });
      expect(await other.load('first')).toEqual({
        tenant,
        position: { revision: 1, commitId: 'first-1' },
        routes: [],
        policies: [],
      });
    });

    test('a tenant that exists is not created again', async () => {
      const history = await newTenant();
      const before = await everythingOf(history.tenant, []);
      const again = new TenantHistory(store, history.tenant);
      const changes = again.stage([
        { kind: 'create_tenant', tenant: history.tenant, value: { displayName: 'Mine', quotas: {} } },
      ]);
      expect(await other.commit({ tenant: history.tenant, expected: again.position, changes, replies: [] })).toEqual({
        kind: 'conflict',
      });
      expect(await everythingOf(history.tenant, [])).toEqual(before);
    });

    test.for([
      { position: 'an older revision', of: (h: TenantHistory) => ({ revision: 1, commitId: `${h.tenant}-1` }) },
      { position: 'a revision ahead', of: (h: TenantHistory) => ({ revision: 3, commitId: `${h.tenant}-2` }) },
      { position: 'another commit id', of: () => ({ revision: 2, commitId: 'of-another-history' }) },
    ])('a commit on $position is a conflict that writes nothing', async ({ of }) => {
      const history = await newTenant();
      const key = exampleKey('v1', { tenant: history.tenant });
      await history.commit([createRoute(key)]);
      const before = await everythingOf(history.tenant, ['mine']);

      const expected = of(history);
      const changes = history
        .stage([moveRoute(key, 'grpc://moved'), createRoute({ ...key, version: 'v2' })], [setDefaultVersion(key, 'v2')])
        .map((change, index): Change => ({ ...change, revision: expected.revision + 1 + index }));
      const reply = { requestId: 'mine', fingerprint: 'f', revision: 3, outcomes: [] };
      const outcome = await other.commit({ tenant: history.tenant, expected, changes, replies: [reply] });

      expect(outcome).toEqual({ kind: 'conflict' });
      expect(await everythingOf(history.tenant, ['mine'])).toEqual(before);
    });

    test('of commits that race for one position exactly one succeeds, and the log is its', async () => {
      const history = await newTenant();
      const key = exampleKey('v1', { tenant: history.tenant });
      for (let round = 0; round < 25; round++) {
        const rivals = [1, 2, 3, 4].map((rival) => {
          const route = { ...key, version: `round-${round}-rival-${rival}` };
          return history.stage([createRoute(route), createRoute({ ...route, version: `${route.version}-b` })]);
        });
        const { tenant, position: expected } = history;
        const outcomes = await Promise.all(
          rivals.map((changes, rival) =>
            (rival % 2 === 0 ? store : other).commit({ tenant, expected, changes, replies: [] }),
          ),
        );
        const winners = outcomes.flatMap((outcome, rival) =>
          outcome.kind === 'committed' ? [{ outcome, rival }] : [],
        );
        expect(winners).toHaveLength(1);
        for (const { outcome, rival } of winners) history.accept(rivals[rival] ?? [], outcome);
      }
      const log = await other.changesFrom(history.tenant, 1, 1_000);
      expect(log).toEqual(history.changes);
      expect(log.map((change) => change.revision)).toEqual(log.map((_, index) => index + 1));
    });

    test("tenants do not stand in each other's way", async () => {
      const histories = await Promise.all([newTenant(), newTenant(), newTenant(), newTenant()]);
      await Promise.all(
        histories.map(async (history) => {
          for (let version = 1; version <= 10; version++) {
            await history.commit([createRoute(exampleKey(`v${version}`, { tenant: history.tenant }))]);
          }
        }),
      );
      for (const { tenant, changes } of histories) expect(await other.changesFrom(tenant, 1, 100)).toEqual(changes);
    });

    test('commit times never decrease, and what was created keeps the time of its creation', async () => {
      const history = await newTenant();
      const key = exampleKey('v1', { tenant: history.tenant });
      const times: number[] = [];
      for (let commit = 0; commit < 20; commit++) {
        const mutation = commit === 0 ? createRoute(key) : moveRoute(key, `grpc://host-${commit}`);
        const [change] = await history.commit([mutation]);
        times.push(change?.commitTimeMs ?? 0);
      }
      expect(times).toEqual(times.toSorted((left, right) => left - right));
      expect(await other.getRoute(key)).toMatchObject({ createTimeMs: times[0], updateTimeMs: times.at(-1) });

      await history.commit([{ kind: 'delete_route', key, etag: '' }]);
      const [recreated] = await history.commit([createRoute(key)]);
      expect(await other.getRoute(key)).toMatchObject({
        createTimeMs: recreated?.commitTimeMs,
        updateTimeMs: recreated?.commitTimeMs,
      });
    });

    test('the log answers from a revision on, as many as asked for', async () => {
      const history = await newTenant();
      const versions = ['a', 'b', 'c', 'd', 'e'].map((version) => exampleKey(version, { tenant: history.tenant }));
      await history.commit(versions.slice(0, 3).map((key) => createRoute(key)));
      await history.commit(versions.slice(3).map((key) => createRoute(key)));
      const { tenant, changes } = history;
      expect(changes.map((change) => change.commitRevision)).toEqual([1, 4, 4, 4, 6, 6]);
      expect(await other.changesFrom(tenant, 0, 100)).toEqual(changes);
      expect(await other.changesFrom(tenant, 3, 2)).toEqual(changes.slice(2, 4));
      expect(await other.changesFrom(tenant, 6, 100)).toEqual(changes.slice(5));
      expect(await other.changesFrom(tenant, 7, 100)).toEqual([]);
    });

    test('replies are kept for their tenant, and answered for the ids that are asked for', async () => {
      const history = await newTenant();
      const stranger = await newTenant();
      const replies: CommitReply[] = [
        { requestId: 'one', fingerprint: 'f1', revision: 2, outcomes: [{ revision: 2, changed: true }] },
        { requestId: 'two', fingerprint: 'f2', revision: 2, outcomes: [{ revision: 1, changed: false }] },
      ];
      await history.commitChanges(history.stage([createRoute(exampleKey('v1', { tenant: history.tenant }))]), replies);
      const { tenant } = history;
      expect(await other.replies(tenant, ['one', 'three'])).toEqual([replies[0]]);
      expect(await other.replies(tenant, ['two', 'one'])).toEqual(expect.arrayContaining(replies));
      expect(await other.replies(tenant, [])).toEqual([]);
      expect(await other.replies(stranger.tenant, ['one'])).toEqual([]);
    });

    test('a commit of replies alone keeps them and moves nothing', async () => {
      const history = await newTenant();
      const { tenant, position } = history;
      const before = await other.load(tenant);
      const reply: CommitReply = { requestId: 'noop', fingerprint: 'f', revision: 1, outcomes: [] };
      const outcome = await store.commit({ tenant, expected: position, changes: [], replies: [reply] });
      expect(outcome).toEqual({ kind: 'committed', commitTimeMs: history.changes.at(-1)?.commitTimeMs });
      expect(await other.replies(tenant, ['noop'])).toEqual([reply]);
      expect(await other.load(tenant)).toEqual(before);
      expect(await other.changesFrom(tenant, 1, 10)).toEqual(history.changes);
      // And a later one on a position that is none is refused, reply and all.
      const stale = { revision: 1, commitId: 'not-the-head' };
      const late = { ...reply, requestId: 'late' };
      expect(await store.commit({ tenant, expected: stale, changes: [], replies: [late] })).toEqual({
        kind: 'conflict',
      });
      expect(await other.replies(tenant, ['late'])).toEqual([]);
    });

    test('a commit with a reply to a request id that was answered meanwhile conflicts and writes nothing, though the position stands', async () => {
      const history = await newTenant();
      const { tenant, position: expected } = history;
      const first: CommitReply = { requestId: 'raced', fingerprint: 'f', revision: 1, outcomes: [] };
      await store.commit({ tenant, expected, changes: [], replies: [first] });
      const before = await other.load(tenant);
      const changes = history.stage([createRoute(exampleKey('v1', { tenant }))]);
      const second = { ...first, revision: 2 };
      expect(await other.commit({ tenant, expected, changes, replies: [second] })).toEqual({ kind: 'conflict' });
      expect(await store.replies(tenant, ['raced'])).toEqual([first]);
      expect(await other.load(tenant)).toEqual(before);
    });

    test('a group of transactions may touch one key many times: the last value stands, the log has them all', async () => {
      const history = await newTenant();
      const key = exampleKey('v1', { tenant: history.tenant });
      const committed = await history.commit(
        [createRoute(key), createRoute({ ...key, version: 'v2' })],
        [moveRoute(key, 'grpc://second')],
        [setDefaultVersion(key, 'v1')],
        [setDefaultVersion(key, 'v2'), { kind: 'delete_route', key, etag: '' }],
        [createRoute(key, { lifecycle: { state: 'INACTIVE' } })],
      );
      expect(committed.map(({ action, commitRevision }) => [action, commitRevision])).toEqual([
        ['CREATED', 3],
        ['CREATED', 3],
        ['UPDATED', 4],
        ['CREATED', 5],
        ['UPDATED', 7],
        ['DELETED', 7],
        ['CREATED', 8],
      ]);
      // What the committer works out by itself is what everybody else reads, times included.
      expect(await other.changesFrom(history.tenant, 1, 100)).toEqual(history.changes);
      const cart = history.state.find('cart', 'production');
      expect(await other.getRoute(key)).toEqual(cart?.routes.get('v1'));
      expect(await other.getPolicy(key)).toEqual(cart?.policy);
    });

    test('a change without a policy after it removes the policy, also when it is created in the same commit', async () => {
      const history = await newTenant();
      const { tenant } = history;
      const { service, environment, version } = exampleKey();
      const key = { tenant, service, environment };
      await history.commit([createRoute({ ...key, version }), setDefaultVersion(key, version)]);
      const policy = await other.getPolicy(key);
      expect(policy).toBeDefined();

      const removal = (before: typeof policy, revision: number): Change => ({
        tenant,
        revision,
        commitRevision: revision,
        commitId: `removal-${revision}`,
        action: 'DELETED',
        actor: 'alice',
        correlationId: 'c',
        commitTimeMs: 0,
        subject: { kind: 'traffic_policy', key, before, after: undefined },
      });
      await history.commitChanges([removal(policy, 4)]);
      expect(await other.getPolicy(key)).toBeUndefined();
      expect((await other.load(tenant))?.policies).toEqual([]);

      const created = history.stage([setDefaultVersion(key, version)]);
      const after = created[0]?.subject.kind === 'traffic_policy' ? created[0].subject.after : undefined;
      await history.commitChanges([...created, removal(after, 6)]);
      expect(await other.getPolicy(key)).toBeUndefined();
      expect(await other.changesFrom(tenant, 1, 100)).toEqual(history.changes);
    });

    test('a commit may have 10,000 changes', async () => {
      const history = await newTenant();
      const { tenant } = history;
      const routes = Array.from({ length: 10_000 }, (_, index) =>
        createRoute(exampleKey(`v${index % 10}`, { tenant, service: `service-${Math.floor(index / 10)}` })),
      );
      await history.commit(routes);
      expect(await other.head(tenant)).toEqual({ tenant, position: { revision: 10_001, commitId: `${tenant}-2` } });
      expect(await other.changesFrom(tenant, 1, 20_000)).toEqual(history.changes);
      expect((await other.load(tenant))?.routes).toHaveLength(10_000);
    });

    test('nothing is known of a tenant that does not exist', async () => {
      const tenant = 'nobody';
      const filter = { tenant, service: '', environment: '', states: ['ACTIVE'] } as const;
      expect(await store.load(tenant)).toBeUndefined();
      expect(await store.head(tenant)).toBeUndefined();
      expect(await store.getTenant(tenant)).toBeUndefined();
      expect(await store.getRoute(exampleKey('v1', { tenant }))).toBeUndefined();
      expect(await store.getPolicy(exampleKey('v1', { tenant }))).toBeUndefined();
      expect(await store.listRoutes(filter, undefined, 10)).toBeUndefined();
      expect(await store.changesFrom(tenant, 1, 10)).toEqual([]);
      expect(await store.replies(tenant, ['one'])).toEqual([]);
      expect(exampleTenant).not.toBe(tenant);
    });
  });
}
