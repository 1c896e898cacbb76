import type { Route, RouteKey } from '../../domain/route.ts';
import type { Tenant } from '../../domain/tenant.ts';
import type { TrafficPolicy, TrafficPolicyKey } from '../../domain/traffic-policy.ts';
import { momentCompacted, momentInFuture, type RevisionRange } from '../../domain/revision-range.ts';
import { tenantNotFound } from '../../domain/transaction.ts';
import type { Clock } from '../../platform/clock.ts';
import type { RouteFilter } from '../../ports/configuration-store.ts';
import type {
  ChangeFilter,
  ChangeHistory,
  ChangePage,
  ChangePaging,
  GroupAt,
  RoutesAtPage,
  ValuesBefore,
} from '../../ports/change-history.ts';
import { listChanges } from './change-list.ts';
import type { Database } from './database.ts';
import { historyLimits, type HistoryLimits } from './history-limits.ts';
import { boundsFor, findBounds, lastRevisionBefore, type Query } from './revision-bounds.ts';
import {
  changeColumns,
  changeFromRow,
  milliseconds,
  policyColumns,
  policyFromRow,
  routeColumns,
  routeFromRow,
  tenantColumns,
  tenantFromRow,
  type ChangeRow,
  type PolicyRow,
  type RouteRow,
  type TenantRow,
} from './rows.ts';
import { allBefore, policyBefore, routesBefore } from './values-before.ts';

/** A commit that is under way now has a time that is no older than this, ms: no statement may take longer. */
const commitDurationMsMax = 60_000;

export type PostgresChangeHistoryOptions = {
  readonly database: Pick<Database, 'query' | 'atOneMoment'>;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly limits?: HistoryLimits;
};

/** The change log in Postgres. Every method reads one moment, so retention cannot take away what it is reading. */
export class PostgresChangeHistory implements ChangeHistory {
  readonly #database: PostgresChangeHistoryOptions['database'];
  readonly #clock: PostgresChangeHistoryOptions['clock'];
  readonly #limits: HistoryLimits;

  constructor({ database, clock, limits = historyLimits }: PostgresChangeHistoryOptions) {
    this.#database = database;
    this.#clock = clock;
    this.#limits = limits;
  }

  list(filter: ChangeFilter, paging: ChangePaging): Promise<ChangePage> {
    const options = { paging, limits: this.#limits, clock: this.#clock };
    return this.#database.atOneMoment((query) => listChanges(query, filter, options));
  }

  range(tenant: string): Promise<RevisionRange | undefined> {
    return this.#database.atOneMoment(async (query) => {
      const bounds = await findBounds(query, tenant);
      return bounds && { oldest: bounds.oldest, newest: bounds.newest };
    });
  }

  async revisionAt(tenant: string, timeMs: number): Promise<number | undefined> {
    await this.#settle(tenant, timeMs);
    return this.#database.atOneMoment(async (query) => {
      const range = await findBounds(query, tenant);
      if (range === undefined) throw tenantNotFound(tenant);
      const revision = await lastRevisionBefore(query, tenant, { range, timeMs: timeMs + 1 });
      if (revision >= range.oldest) return revision;
      if (range.oldest === 1) return undefined;
      throw momentCompacted(tenant, timeMs, range.oldest);
    });
  }

  /**
   * Makes sure that nothing more can commit at a moment or before: else the same question would be answered differently a
   * little later. Only a moment after the newest change can be that recent; then what is being committed is waited for (by
   * the tenant's row lock), after the millisecond has passed (times are rounded to it).
   */
  async #settle(tenant: string, timeMs: number): Promise<void> {
    const [head] = await this.#database.query<{ now: number; head: number }>(headTimeStatement, [tenant]);
    if (head === undefined) throw tenantNotFound(tenant);
    if (timeMs < head.head || timeMs < head.now - commitDurationMsMax) return;
    if (timeMs > Math.max(head.now, head.head)) throw momentInFuture(tenant, timeMs, head.now);
    await this.#database.query(untilPassedStatement, [timeMs + 1]);
    await this.#database.query(untilCommittedStatement, [tenant]);
  }

  groupAt(key: TrafficPolicyKey, revision: number): Promise<GroupAt> {
    return this.#database.atOneMoment(async (query) => {
      await boundsFor(query, key.tenant, revision);
      const { tenant, service, environment } = key;
      const now = (
        await query<RouteRow>(
          `SELECT ${routeColumns} FROM routes r WHERE r.tenant = $1 AND r.service = $2 AND r.environment = $3 ORDER BY r.version`,
          [tenant, service, environment],
        )
      ).map(routeFromRow);
      return {
        tenant: await tenantAt(query, tenant, revision),
        routes: (await asOf(query, now, { tenant, revision })).flatMap((route) => route ?? []),
        policy: await policyAt(query, key, revision),
      };
    });
  }

  routeAt({ tenant, service, environment, version }: RouteKey, revision: number): Promise<Route | undefined> {
    return this.#database.atOneMoment(async (query) => {
      await boundsFor(query, tenant, revision);
      const now = await query<RouteRow>(
        `SELECT ${routeColumns} FROM routes r WHERE r.tenant = $1 AND r.service = $2 AND r.environment = $3 AND r.version = $4`,
        [tenant, service, environment, version],
      );
      const [route] = await asOf(query, now.map(routeFromRow), { tenant, revision });
      return route;
    });
  }

  routesAt(
    filter: RouteFilter,
    revision: number,
    { after, limit }: { readonly after: Omit<RouteKey, 'tenant'> | undefined; readonly limit: number },
  ): Promise<RoutesAtPage> {
    const { tenant, service, environment, states } = filter;
    return this.#database.atOneMoment(async (query) => {
      await boundsFor(query, tenant, revision);
      const routes: Route[] = [];
      let last = after;
      for (let statement = 0; statement < this.#limits.statementsPerPage; statement++) {
        // A few more than the page takes, and more each time that few of them existed then.
        const take = Math.min(this.#limits.keysPerStatement, Math.ceil(limit * 1.1 * 4 ** statement));
        const from = [last?.service ?? '', last?.environment ?? '', last?.version ?? ''];
        // Routes are never removed from the table, so it has the key of every route that ever was.
        const rows = await query<RouteRow>(routesAfterSql, [tenant, ...from, service, environment, take]);
        const now = rows.map(routeFromRow);
        for (const route of await asOf(query, now, { tenant, revision })) {
          if (route === undefined || !states.includes(route.lifecycle.state)) continue;
          // One more than fits: so there is a next page, which begins with it.
          if (routes.length === limit) return { routes, next: routes.at(-1)?.key };
          routes.push(route);
        }
        if (rows.length < take) return { routes, next: undefined };
        last = now.at(-1)?.key;
      }
      return { routes, next: last };
    });
  }

  valuesBefore(tenant: string, revision: number): Promise<ValuesBefore> {
    const { documentsPerStatement } = this.#limits;
    return this.#database.atOneMoment(async (query) => {
      const { newest, headCommitId } = await boundsFor(query, tenant, revision);
      const position = { revision: newest, commitId: headCommitId };
      return { position, ...(await allBefore(query, tenant, { revision, documentsPerStatement })) };
    });
  }
}

const headTimeStatement = {
  name: 'head_time',
  text: `SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now, ${milliseconds('t.head_commit_time')} AS head
    FROM tenants t WHERE t.tenant = $1`,
};
const untilPassedStatement = {
  name: 'until_passed',
  // 10 ms at most, should the clock have been set back.
  text: 'SELECT pg_sleep(least(0.01, greatest(0, $1::float8 / 1000 - extract(epoch FROM clock_timestamp())::float8)))',
};
const untilCommittedStatement = { name: 'until_committed', text: 'SELECT FROM tenants WHERE tenant = $1 FOR SHARE' };

const routesAfterSql = `SELECT ${routeColumns} FROM routes r
  WHERE r.tenant = $1 AND (r.service, r.environment, r.version) > ($2, $3, $4)
    AND ($5 = '' OR r.service = $5) AND ($6 = '' OR r.environment = $6)
  ORDER BY r.service, r.environment, r.version LIMIT $7`;

/** Routes as they were: those that have not changed since as they are, in the same order; undefined: did not exist. */
async function asOf(
  query: Query,
  now: readonly Route[],
  { tenant, revision }: { tenant: string; revision: number },
): Promise<(Route | undefined)[]> {
  const changed = now.flatMap((route) => (route.revision > revision ? [route.key] : []));
  const before = await routesBefore(query, changed, { tenant, revision });
  const values = new Map(before.map(({ key, value }) => [pathOf(key), value]));
  return now.map((route) => (route.revision > revision ? values.get(pathOf(route.key)) : route));
}

function pathOf({ service, environment, version }: RouteKey): string {
  return `${service}/${environment}/${version}`;
}

async function policyAt(query: Query, key: TrafficPolicyKey, revision: number): Promise<TrafficPolicy | undefined> {
  const before = await policyBefore(query, key, revision);
  if (before !== undefined) return before.value;
  const [row] = await query<PolicyRow>(
    `SELECT ${policyColumns} FROM traffic_policies p WHERE p.tenant = $1 AND p.service = $2 AND p.environment = $3`,
    [key.tenant, key.service, key.environment],
  );
  return row && policyFromRow(row);
}

async function tenantAt(query: Query, tenant: string, revision: number): Promise<Tenant> {
  const [change] = (
    await query<ChangeRow>(
      `SELECT ${changeColumns} FROM changes c WHERE c.tenant = $1 AND c.service IS NULL AND c.environment IS NULL AND c.version IS NULL
        AND c.revision > $2 ORDER BY c.service, c.environment, c.version, c.revision NULLS FIRST LIMIT 1`,
      [tenant, revision],
    )
  ).map(changeFromRow);
  const before = change?.subject.kind === 'tenant' ? change.subject.before : undefined;
  if (before !== undefined) return { ...before, revision };
  const [row] = await query<TenantRow>(`SELECT ${tenantColumns} FROM tenants t WHERE t.tenant = $1`, [tenant]);
  if (row === undefined) throw tenantNotFound(tenant);
  return { ...tenantFromRow(row), revision };
}
