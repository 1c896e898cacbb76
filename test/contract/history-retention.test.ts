import fc from 'fast-check';
import type { Client } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { HistoryRetention } from '../../src/app/history-retention.ts';
import { retentionLimits } from '../../src/app/limits.ts';
import { TenantReplica } from '../../src/app/tenant-replica.ts';
import type { Change } from '../../src/domain/change.ts';
import type { TenantState } from '../../src/domain/tenant-view.ts';
import { PostgresChangeHistory } from '../../src/outbound/postgres/postgres-change-history.ts';
import { PostgresChangeRetention } from '../../src/outbound/postgres/postgres-change-retention.ts';
import { createLogger } from '../../src/platform/logger.ts';
import type { ChangeFilter, ChangeHistory } from '../../src/ports/change-history.ts';
import type { ChangeRetention } from '../../src/ports/change-retention.ts';
import type { ConfigurationStore } from '../../src/ports/configuration-store.ts';
import { createRoute, exampleKey, moveRoute } from '../fakes/example-configuration.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { openTestDatabase, type OpenedDatabase } from './open-test-database.ts';
import { Chance, commitRandomly } from './random-history.ts';
import { TenantHistory } from './tenant-history.ts';

const dayMs = 86_400_000;

describe('retention', () => {
  let database: OpenedDatabase;
  let store: ConfigurationStore;
  let history: ChangeHistory;
  let retention: ChangeRetention;
  let client: Client;
  let tenants = 0;

  beforeAll(async () => {
    database = await openTestDatabase(inject('postgresUrl'));
    store = database.openStore();
    history = new PostgresChangeHistory({ database: database.openDatabase(), clock: { monotonicMs: () => 0 } });
    retention = new PostgresChangeRetention(database.openDatabase());
    client = await database.connect();
  });
  // Sweeps look at every tenant: what one test made is none of the next one's business.
  afterEach(async () => {
    await client.query(`SET session_replication_role = replica;
      TRUNCATE tenants, routes, traffic_policies, changes, request_replies, compactions, stream_records, lookup_usage, usage_reports;
      RESET session_replication_role`);
  });
  afterAll(async () => await database[Symbol.asyncDispose]());

  async function newTenant(changes: number, seed = 1): Promise<TenantHistory> {
    tenants += 1;
    const made = await new TenantHistory(store, `tenant-${tenants}`).begin();
    await commitRandomly(made, new Chance(seed), changes);
    return made;
  }

  /** Makes changes look as if they had been committed so many days ago: by revision, first ones first, each until the next. */
  async function age(tenant: string, daysAgo: ReadonlyMap<number, number>): Promise<Change[]> {
    await client.query('SET session_replication_role = replica');
    for (const [revision, days] of daysAgo) {
      await client.query(
        `UPDATE changes SET commit_time = statement_timestamp() - $3::float8 * interval '1 day' WHERE tenant = $1 AND revision >= $2`,
        [tenant, revision, days],
      );
    }
    await client.query('RESET session_replication_role');
    return await store.changesFrom(tenant, 1, 10_000);
  }

  async function removeChanges(tenant: string, keepDays: number, limit: number): Promise<number> {
    let removed = 0;
    const alone = await retention.exclusively(async (lease) => {
      removed = await lease.removeChanges(tenant, { keepMs: keepDays * dayMs, limit });
    });
    expect(alone).toBe(true);
    return removed;
  }

  async function listed(tenant: string, filter: Partial<ChangeFilter> = {}): Promise<number[]> {
    const { changes } = await history.list(
      { ...noFilter, tenant, ...filter },
      { order: 'oldest_first', after: undefined, limit: 1_000 },
    );
    return changes.map((change) => change.revision);
  }

  /** What the history says about a revision, or why it does not. */
  async function answersAt(tenant: string, revision: number): Promise<unknown> {
    const key = exampleKey('v1', { tenant });
    const filter = { tenant, service: '', environment: '', states: ['ACTIVE', 'INACTIVE', 'DELETED'] as const };
    const paging = { after: undefined, limit: 1_000 };
    return await Promise.all([
      history.groupAt(key, revision).catch(reasonOf),
      history.routeAt(key, revision).catch(reasonOf),
      history.routesAt(filter, revision, paging).catch(reasonOf),
      history.valuesBefore(tenant, revision).catch(reasonOf),
    ]);
  }

  test('removes whole transactions from the old end, and the history knows where it begins now', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), async (seed) => {
        const chance = new Chance(seed);
        const made = await newTenant(30 + chance.below(20), seed);
        const { tenant } = made;
        const all = await age(tenant, randomAges(made.changes, chance));
        const before = new Map<number, unknown>();
        for (const { revision } of all) before.set(revision, await answersAt(tenant, revision));

        const keepDays = 1 + chance.below(20);
        const expected = oldestKept(all, Date.now() - keepDays * dayMs);
        let steps = 0;
        for (let removed = -1; removed !== 0; steps++) {
          const limit = 1 + chance.below(6);
          removed = await removeChanges(tenant, keepDays, limit);
          const range = await history.range(tenant);
          const oldest = range?.oldest ?? 0;
          expect(oldest).toBeLessThanOrEqual(expected);
          expect(await store.changesFrom(tenant, 1, 10_000)).toEqual(all.slice(oldest - 1));
          const last = all[oldest - 2];
          expect(last === undefined || last.commitRevision === last.revision).toBe(true);
        }
        expect(await history.range(tenant)).toEqual({ oldest: expected, newest: all.length });
        for (const { revision } of all) {
          const now = await answersAt(tenant, revision);
          expect(now).toEqual(revision < expected ? Array(4).fill('REVISION_COMPACTED') : before.get(revision));
        }
      }),
      { numRuns: 6 },
    );
  });

  test('keeps everything younger than asked, the transaction that held when that time began, and always the newest', async () => {
    const made = await newTenant(1);
    const { tenant } = made;
    const key = exampleKey('v1', { tenant });
    const versions = ['v1', 'v2', 'v3', 'v4', 'v5'].map((version) => ({ ...key, version }));
    await made.commit(versions.map((each) => createRoute(each)));
    await made.commit([moveRoute(key, 'grpc://later')]);
    // The tenant 90 days ago, five routes at once 60 days ago, one of them moved 5 days ago.
    const all = await age(
      tenant,
      new Map([
        [1, 90],
        [2, 60],
        [7, 5],
      ]),
    );
    expect(await removeChanges(tenant, 30, 100)).toBe(1);
    expect(await removeChanges(tenant, 30, 100)).toBe(0);
    expect(await listed(tenant)).toEqual([2, 3, 4, 5, 6, 7]);
    // 30 days ago still has its answer; before the transaction that held then there is none.
    expect(await history.revisionAt(tenant, Date.now() - 30 * dayMs)).toBe(6);
    const first = all[1]?.commitTimeMs ?? 0;
    expect(await history.revisionAt(tenant, first)).toBe(6);
    await expect(history.revisionAt(tenant, first - 1)).rejects.toMatchObject({
      reason: 'REVISION_COMPACTED',
      metadata: { tenant, oldest_revision: '2' },
    });
    // All of it is older than 4 days: the newest stays.
    expect(await removeChanges(tenant, 4, 2)).toBe(5);
    expect(await removeChanges(tenant, 4, 2)).toBe(0);
    expect(await listed(tenant)).toEqual([7]);
    expect(await history.routeAt(key, 7)).toMatchObject({ endpoints: [{ url: 'grpc://later' }] });
    expect((await history.routeAt({ ...key, version: 'v5' }, 7))?.revision).toBe(6);
  });

  test('is told to a list that names what is gone, and to one that goes on there', async () => {
    const made = await newTenant(20);
    const { tenant } = made;
    await age(
      tenant,
      new Map([
        [1, 90],
        [10, 10],
      ]),
    );
    const filter = { ...noFilter, tenant };
    const oldestFirst = await history.list(filter, { order: 'oldest_first', after: undefined, limit: 3 });
    const newestFirst = await history.list(filter, { order: 'newest_first', after: undefined, limit: 3 });
    while ((await removeChanges(tenant, 30, 100)) > 0);
    const oldest = (await history.range(tenant))?.oldest ?? 0;
    expect(oldest).toBeGreaterThan(5);

    const compacted = { reason: 'REVISION_COMPACTED', metadata: { tenant, oldest_revision: String(oldest) } };
    await expect(listed(tenant, { revisionMin: oldest - 1 })).rejects.toMatchObject(compacted);
    await expect(
      history.list(filter, { order: 'oldest_first', after: oldestFirst.next, limit: 3 }),
    ).rejects.toMatchObject(compacted);
    const kept = made.changes.slice(oldest - 1).map((change) => change.revision);
    expect(await listed(tenant)).toEqual(kept);
    expect(await listed(tenant, { revisionMin: oldest })).toEqual(kept);
    expect(await listed(tenant, { revisionMax: oldest - 1 })).toEqual([]);
    expect(await listed(tenant, { startTimeMs: 0 })).toEqual(kept);
    const rest = await history.list(filter, { order: 'newest_first', after: newestFirst.next, limit: 1_000 });
    expect([...newestFirst.changes, ...rest.changes].map((change) => change.revision)).toEqual(kept.toReversed());
  });

  test('makes a replica whose position is older than the log take the tenant anew', async () => {
    const made = await newTenant(10);
    const { tenant } = made;
    const [late, current] = [1, 2].map(() => new TenantReplica(tenant, store, () => 0));
    if (late === undefined || current === undefined) throw new Error('there are two');
    await late.catchUp();
    const { window } = late;
    await commitRandomly(made, new Chance(2), 30);
    await current.catchUp();
    await age(
      tenant,
      new Map([
        [1, 90],
        [25, 10],
      ]),
    );
    while ((await removeChanges(tenant, 30, 100)) > 0);
    await commitRandomly(made, new Chance(3), 35);
    for (const replica of [late, current, new TenantReplica(tenant, store, () => 0)]) {
      await replica.catchUp();
      expect(replica.position).toEqual(made.position);
      const routesOf = ({ state }: { state: TenantState }) =>
        [...state.all()].flatMap((group) =>
          [...group.routes.values()].map((route) => `${route.etag} ${route.revision}`),
        );
      expect(new Set(routesOf(replica))).toEqual(new Set(routesOf(made)));
    }
    // Its watchers are told to start over; those of one that kept up are not.
    expect(late.window).not.toBe(window);
    expect(current.window.base.revision).toBe(0);
  });

  test('never removes what is younger than a day', async () => {
    const { tenant } = await newTenant(5);
    const removal = retention.exclusively(async (lease) => {
      await lease.removeChanges(tenant, { keepMs: dayMs - 1, limit: 10 });
    });
    await expect(removal).rejects.toThrow('changes are kept for a day at least');
  });

  test('removes replies that are older than 24 hours, and no others', async () => {
    const made = await newTenant(3);
    const { tenant, position: expected } = made;
    const replies = ['old', 'older', 'young'].map((requestId) => ({
      requestId,
      fingerprint: '',
      revision: 1,
      outcomes: [],
    }));
    await store.commit({ tenant, expected, changes: [], replies });
    const set = `UPDATE request_replies SET create_time = now() - $1::interval WHERE request_id = ANY($2)`;
    await client.query(set, ['24 hours 1 minute', ['old', 'older']]);
    await client.query(set, ['23 hours 59 minutes', ['young']]);
    const counts: number[] = [];
    await retention.exclusively(async (lease) => {
      for (let step = 0; step < 3; step++) counts.push(await lease.removeReplies(1));
    });
    expect(counts).toEqual([1, 1, 0]);
    expect((await store.replies(tenant, ['old', 'older', 'young'])).map((reply) => reply.requestId)).toEqual(['young']);
  });

  test('is one program at a time, and the next one once the first has ended or died', async () => {
    const other = new PostgresChangeRetention(database.openDatabase());
    await retention.exclusively(async () => {
      expect(await other.exclusively(() => Promise.reject(new Error('two at a time')))).toBe(false);
    });
    expect(await other.exclusively(() => Promise.resolve())).toBe(true);
    const dying = retention.exclusively(async (lease) => {
      await client.query(
        `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = (7400000002 % 4294967296)`,
      );
      await lease.tenants();
    });
    await expect(dying).rejects.toThrow();
    expect(await other.exclusively(() => Promise.resolve())).toBe(true);
  });

  test('sweeps all tenants at a random moment of every hour, in steps with pauses, until it is stopped', async () => {
    const histories = [await newTenant(20, 1), await newTenant(20, 2)];
    for (const { tenant } of histories)
      await age(
        tenant,
        new Map([
          [1, 90],
          [20, 10],
        ]),
      );
    const clock = new FakeClock();
    const options = { retention, keepMs: 30 * dayMs, clock, random: () => 0.5, logger: createLogger('test', 'silent') };
    {
      await using job = new HistoryRetention(options);
      job.start();
      await clock.untilSomebodySleeps();
      clock.advance(retentionLimits.sweepIntervalMs / 2 - 1);
      for (const { tenant } of histories) expect(await history.range(tenant)).toMatchObject({ oldest: 1 });
      clock.advance(1);
      for (const { tenant } of histories) {
        while ((await history.range(tenant))?.oldest === 1) clock.advance(retentionLimits.pauseMs);
      }
    }
    // Stopped: whatever time it is, nothing happens any more.
    await age(histories[0]?.tenant ?? '', new Map([[1, 90]]));
    const stopped = await history.range(histories[0]?.tenant ?? '');
    clock.advance(retentionLimits.sweepIntervalMs);
    expect(await history.range(histories[0]?.tenant ?? '')).toEqual(stopped);
  });

  test('goes on at its next sweep when the database was away', async () => {
    const { tenant } = await newTenant(20);
    await age(
      tenant,
      new Map([
        [1, 90],
        [20, 10],
      ]),
    );
    const clock = new FakeClock();
    let failures = 2;
    const flaky: ChangeRetention = {
      exclusively: async (work) => {
        if (failures-- > 0) throw new Error('out of reach');
        return await retention.exclusively(work);
      },
    };
    await using job = new HistoryRetention({
      retention: flaky,
      keepMs: 30 * dayMs,
      clock,
      random: () => 1,
      logger: createLogger('test', 'silent'),
    });
    job.start();
    while ((await history.range(tenant))?.oldest === 1) {
      await clock.untilSomebodySleeps();
      clock.advance(retentionLimits.sweepIntervalMs);
    }
    expect(failures).toBeLessThan(0);
  });
});

const noFilter: Omit<ChangeFilter, 'tenant'> = {
  service: '',
  environment: '',
  version: '',
  actions: [],
  actor: '',
  correlationId: '',
  revisionMin: 0,
  revisionMax: 0,
  startTimeMs: undefined,
  endTimeMs: undefined,
};

function reasonOf(error: unknown): unknown {
  return (error as { reason?: unknown }).reason ?? error;
}

/** Ages for some of the commits, falling; what was committed at one time stays so. */
function randomAges(changes: readonly Change[], chance: Chance): Map<number, number> {
  const ages = new Map<number, number>([[1, 25]]);
  let days = 25;
  for (const [index, change] of changes.entries()) {
    const startsCommit = change.commitTimeMs !== changes[index - 1]?.commitTimeMs;
    if (!startsCommit || !chance.percent(30)) continue;
    days -= chance.below(300) / 100;
    if (days <= 0.1) break;
    ages.set(change.revision, days);
  }
  return ages;
}

/** The first of the transaction that held at a moment; 1 when there was none. */
function oldestKept(changes: readonly Change[], cutoffMs: number): number {
  const held = changes.findLast((change) => change.commitTimeMs < cutoffMs);
  return changes.find((change) => change.commitRevision === held?.commitRevision)?.revision ?? 1;
}
