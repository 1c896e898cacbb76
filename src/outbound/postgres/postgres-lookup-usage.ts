import type { RouteKey } from '../../domain/route.ts';
import type { LookupUsage, UsageFilter, UsageReport, VersionUsage } from '../../ports/lookup-usage.ts';
import type { Database, Statement } from './database.ts';
import { milliseconds } from './rows.ts';

type UsageRow = {
  /** Null: the tenant has no usage that was asked for. */
  readonly service: string | null;
  readonly environment: string;
  readonly version: string;
  readonly lookups: number;
  readonly last_hour: number;
};

const hourNow = "date_trunc('hour', clock_timestamp(), 'UTC')";

const statements = {
  // ONE statement: a report is remembered and added up together or not at all. A repetition waits for the row of the first, and then
  // finds a sequence that is no higher. In the order of the key, so that no two reports wait for each other.
  add: {
    name: 'add_usage_report',
    text: `WITH report AS (
        INSERT INTO usage_reports AS r (sidecar_id, sequence, hour) VALUES ($1, $2, ${hourNow})
        ON CONFLICT (sidecar_id) DO UPDATE SET sequence = excluded.sequence, hour = excluded.hour WHERE r.sequence < excluded.sequence
        RETURNING r.hour
      ), added AS (
        INSERT INTO lookup_usage AS u (tenant, service, environment, version, hour, lookups)
        SELECT x.tenant, x.service, x.environment, x.version, report.hour, sum(x.lookups)::bigint
        FROM report, json_to_recordset($3::json) AS x(tenant text, service text, environment text, version text, lookups bigint)
        JOIN tenants t ON t.tenant = x.tenant
        WHERE x.version = '' OR EXISTS (SELECT FROM routes o
          WHERE o.tenant = x.tenant AND o.service = x.service AND o.environment = x.environment AND o.version = x.version)
        GROUP BY x.tenant, x.service, x.environment, x.version, report.hour
        ORDER BY x.tenant COLLATE "C", x.service COLLATE "C", x.environment COLLATE "C", x.version COLLATE "C"
        ON CONFLICT (tenant, service, environment, version, hour) DO UPDATE SET lookups = u.lookups + excluded.lookups
      )
      SELECT hour FROM report`,
  },
  // Read in the order of the primary key, so a page ends where its last version does. A sum stays what a number can hold.
  list: {
    name: 'list_usage',
    text: `SELECT v.* FROM tenants t LEFT JOIN LATERAL (
        SELECT u.service, u.environment, u.version, least(sum(u.lookups), ${Number.MAX_SAFE_INTEGER})::bigint AS lookups,
          ${milliseconds('max(u.hour)')} AS last_hour
        FROM lookup_usage u
        WHERE u.tenant = $1 AND (u.version = '' OR (($2 = '' OR u.service = $2) AND ($3 = '' OR u.environment = $3) AND ($4 = '' OR u.version = $4)))
          AND ($5::float8 IS NULL OR u.hour >= date_trunc('hour', to_timestamp($5::float8 / 1000), 'UTC'))
          AND ($6::text IS NULL OR (u.service, u.environment, u.version) > ($6, $7, $8))
        GROUP BY u.service, u.environment, u.version ORDER BY u.service, u.environment, u.version LIMIT $9) v ON true
      WHERE t.tenant = $1 ORDER BY v.service, v.environment, v.version`,
  },
} as const satisfies Record<string, Statement>;

/** Usage in Postgres: a row for each version and hour, and one for the last report of each sidecar. */
export class PostgresLookupUsage implements LookupUsage {
  readonly #database: Pick<Database, 'query'>;

  constructor(database: Pick<Database, 'query'>) {
    this.#database = database;
  }

  async add({ sidecarId, sequence, versions }: UsageReport): Promise<boolean> {
    const rows = await this.#database.query(statements.add, [sidecarId, sequence, JSON.stringify(versions)]);
    return rows.length > 0;
  }

  async list(
    { tenant, service, environment, version, startTimeMs }: UsageFilter,
    { after, limit }: { readonly after: Omit<RouteKey, 'tenant'> | undefined; readonly limit: number },
  ): Promise<readonly VersionUsage[] | undefined> {
    const from = [after?.service, after?.environment, after?.version];
    const values = [tenant, service, environment, version, startTimeMs, ...from, limit];
    const rows = await this.#database.query<UsageRow>(statements.list, values);
    if (rows.length === 0) return undefined;
    return rows.flatMap((row) => (row.service === null ? [] : [usageFromRow({ ...row, service: row.service })]));
  }
}

function usageFromRow({
  last_hour: lastLookupTimeMs,
  ...usage
}: UsageRow & { readonly service: string }): VersionUsage {
  return { ...usage, lastLookupTimeMs };
}
