import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import type { Change, ChangeAction } from '../../src/domain/change.ts';
import { historyLimits, type HistoryLimits } from '../../src/outbound/postgres/history-limits.ts';
import { PostgresChangeHistory } from '../../src/outbound/postgres/postgres-change-history.ts';
import type { ChangeFilter, ChangeHistory, ChangePaging } from '../../src/ports/change-history.ts';
import type { ConfigurationStore } from '../../src/ports/configuration-store.ts';
import { createRoute, exampleEndpoint, exampleKey } from '../fakes/example-configuration.ts';
import { openTestDatabase, type OpenedDatabase } from './open-test-database.ts';
import { Chance, commitRandomly, drawnFrom } from './random-history.ts';
import { TenantHistory } from './tenant-history.ts';

const everything: Omit<ChangeFilter, 'tenant'> = {
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
const allActions: readonly ChangeAction[] = ['CREATED', 'UPDATED', 'ACTIVATED', 'DEACTIVATED', 'DELETED', 'UNDELETED'];
const orders: readonly ChangePaging['order'][] = ['newest_first', 'oldest_first'];

describe('a list of changes', () => {
  let database: OpenedDatabase;
  let store: ConfigurationStore;
  let history: ChangeHistory;
  let tenants = 0;

  beforeAll(async () => {
    database = await openTestDatabase(inject('postgresUrl'));
    store = database.openStore();
    history = openHistory();
  });
  afterAll(async () => await database[Symbol.asyncDispose]());

  /** Time passes by `tickMs` whenever it is looked at. */
  function openHistory(limits: Partial<HistoryLimits> = {}, tickMs = 0): ChangeHistory {
    let now = 0;
    return new PostgresChangeHistory({
      database: database.openDatabase(),
      clock: { monotonicMs: () => (now += tickMs) },
      limits: { ...historyLimits, ...limits },
    });
  }

  async function newTenant(changes: number, seed = 1): Promise<TenantHistory> {
    tenants += 1;
    const made = await new TenantHistory(store, `tenant-${tenants}`).begin();
    await commitRandomly(made, new Chance(seed), changes);
    return made;
  }

  /** All pages of a list; each but the last one leads on, and none is longer than asked for. */
  async function listAll(
    from: ChangeHistory,
    filter: ChangeFilter,
    { order, limit }: Pick<ChangePaging, 'order' | 'limit'>,
  ): Promise<{ changes: Change[]; pages: number }> {
    const changes: Change[] = [];
    let after: number | undefined;
    for (let pages = 1; pages <= 1_000; pages++) {
      const page = await from.list(filter, { order, after, limit });
      expect(page.changes.length).toBeLessThanOrEqual(limit);
      changes.push(...page.changes);
      if (page.next === undefined) return { changes, pages };
      after = page.next;
    }
    throw new Error('the list does not end');
  }

  test('has, for every filter, page size and order, just the changes that a look at all of them finds', async () => {
    const windowed = openHistory({ windowRevisions: { first: 2, max: 20 } });
    // Every statement exceeds the budget: pages end wherever a window does.
    const hurried = openHistory({ windowRevisions: { first: 5, max: 5 }, pageBudgetMs: 1 }, 10);
    const tight = openHistory({ pageBytesMax: 1_200 });
    await fc.assert(
      fc.asyncProperty(fc.nat(), async (seed) => {
        const chance = new Chance(seed);
        const made = await newTenant(40 + chance.below(30), seed);
        for (let query = 0; query < 25; query++) {
          const filter = randomFilter(made, chance);
          for (const order of orders) {
            const limit = chance.oneOf([1, 3, 7, 10, 1_000]);
            const expected = naiveList(made.changes, filter, order);
            for (const from of [history, windowed, hurried, tight]) {
              expect((await listAll(from, filter, { order, limit })).changes).toEqual(expected);
            }
          }
        }
      }),
      { numRuns: 3 },
    );
  });

  test('of full pages has no empty page at its end, and says the newest revision', async () => {
    const made = await newTenant(20);
    const { tenant, changes } = made;
    const filter = { ...everything, tenant };
    for (const order of orders) {
      const whole = await history.list(filter, { order, after: undefined, limit: changes.length });
      expect(whole).toEqual({ changes: naiveList(changes, filter, order), next: undefined, newest: changes.length });
      const short = await history.list(filter, { order, after: undefined, limit: changes.length - 1 });
      expect(short.next).toBe(order === 'newest_first' ? 2 : changes.length - 1);
    }
  });

  test('is not disturbed by changes that are committed between its pages', async () => {
    const made = await newTenant(30);
    const filter = { ...everything, tenant: made.tenant };
    const before = [...made.changes];
    const first = await history.list(filter, { order: 'newest_first', after: undefined, limit: 5 });
    await commitRandomly(made, new Chance(7), made.changes.length + 10);
    const rest = await history.list(filter, { order: 'newest_first', after: first.next, limit: 1_000 });
    expect([...first.changes, ...rest.changes]).toEqual(before.toReversed());
  });

  test('has changes of the very moment that it starts at, and none of the one that it ends at', async () => {
    const made = await newTenant(30);
    const middle = made.changes[15];
    if (middle === undefined) throw new Error('there is a middle');
    const startTimeMs = middle.commitTimeMs;
    const from = async (filter: Partial<ChangeFilter>): Promise<number[]> => {
      const page = await history.list(
        { ...everything, tenant: made.tenant, ...filter },
        { order: 'oldest_first', after: undefined, limit: 1_000 },
      );
      return page.changes.map((change) => change.revision);
    };
    expect(await from({ startTimeMs })).toContain(middle.revision);
    expect(await from({ startTimeMs: startTimeMs + 1 })).not.toContain(middle.revision);
    expect(await from({ endTimeMs: startTimeMs })).not.toContain(middle.revision);
    expect(await from({ endTimeMs: startTimeMs + 1 })).toContain(middle.revision);
    expect(await from({ startTimeMs, endTimeMs: startTimeMs })).toEqual([]);
  });

  test('of large changes comes in pages of about the bytes that are allowed', async () => {
    const made = await newTenant(1);
    const { tenant } = made;
    // What does not compress, about 5 kB each.
    const chance = new Chance(3);
    const large = (version: string) =>
      createRoute(exampleKey(version, { tenant }), {
        endpoints: Array.from({ length: 100 }, () =>
          exampleEndpoint({ url: `grpc://h${Array.from({ length: 40 }, () => chance.below(10)).join('')}` }),
        ),
      });
    for (let route = 0; route < 20; route++) await made.commit([large(`v${route}`)]);
    const { changes, pages } = await listAll(
      openHistory({ pageBytesMax: 20_000 }),
      { ...everything, tenant },
      { order: 'newest_first', limit: 1_000 },
    );
    expect(changes).toEqual(made.changes.toReversed());
    expect(pages).toBeGreaterThan(3);
    expect(pages).toBeLessThan(20);
  });

  test('of an unknown tenant is TENANT_NOT_FOUND', async () => {
    const paging = { order: 'newest_first', after: undefined, limit: 1 } as const;
    await expect(history.list({ ...everything, tenant: 'nobody' }, paging)).rejects.toMatchObject({
      reason: 'TENANT_NOT_FOUND',
    });
    expect(await history.range('nobody')).toBeUndefined();
  });
});

/** The whole contract of a filter, without an index. */
function naiveList(changes: readonly Change[], filter: ChangeFilter, order: ChangePaging['order']): Change[] {
  const matches = changes.filter((change) => {
    const { subject } = change;
    const key = { service: '', environment: '', version: '' };
    if (subject.kind === 'route') Object.assign(key, subject.after.key);
    if (subject.kind === 'traffic_policy') Object.assign(key, subject.key);
    return (
      (filter.service === '' || filter.service === key.service) &&
      (filter.environment === '' || filter.environment === key.environment) &&
      (filter.version === '' || filter.version === key.version) &&
      (filter.actions.length === 0 || filter.actions.includes(change.action)) &&
      (filter.actor === '' || filter.actor === change.actor) &&
      (filter.correlationId === '' || filter.correlationId === change.correlationId) &&
      change.revision >= filter.revisionMin &&
      (filter.revisionMax === 0 || change.revision <= filter.revisionMax) &&
      change.commitTimeMs >= (filter.startTimeMs ?? 0) &&
      change.commitTimeMs < (filter.endTimeMs ?? Number.MAX_SAFE_INTEGER)
    );
  });
  return order === 'newest_first' ? matches.toReversed() : matches;
}

function randomFilter({ tenant, changes }: TenantHistory, chance: Chance): ChangeFilter {
  const sometimes = (values: readonly string[]): string =>
    chance.percent(25) ? chance.oneOf([...values, 'none']) : '';
  const revision = (): number => (chance.percent(25) ? 1 + chance.below(changes.length + 5) : 0);
  const time = (): number | undefined =>
    chance.percent(25) ? chance.oneOf(changes).commitTimeMs + chance.below(3) - 1 : undefined;
  return {
    tenant,
    service: sometimes(drawnFrom.services),
    environment: sometimes(drawnFrom.environments),
    version: sometimes(drawnFrom.versions),
    actions: chance.percent(40) ? allActions.filter(() => chance.percent(30)) : [],
    actor: sometimes(drawnFrom.actors),
    correlationId: sometimes(drawnFrom.correlationIds),
    revisionMin: revision(),
    revisionMax: revision(),
    startTimeMs: time(),
    endTimeMs: time(),
  };
}
