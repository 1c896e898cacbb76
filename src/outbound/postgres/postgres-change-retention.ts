import type { Client } from 'pg';
import type { ChangeRetention, RetentionLease } from '../../ports/change-retention.ts';
import type { Database } from './database.ts';

/** Any constant that no other lock has: one retention job in all replicas. */
const retentionLockKey = 7_400_000_002;

/** Retention in Postgres: the lease is an advisory lock of the one connection that all the work is done on, so they end together. */
export class PostgresChangeRetention implements ChangeRetention {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async exclusively(work: (lease: RetentionLease) => Promise<void>): Promise<boolean> {
    const client = this.#database.dedicatedClient();
    // Told by the next statement, which is rejected.
    client.on('error', () => {});
    await client.connect();
    try {
      const { rows } = await client.query<{ locked: boolean }>('SELECT pg_try_advisory_lock($1) AS locked', [
        retentionLockKey,
      ]);
      if (rows[0]?.locked !== true) return false;
      await work(leaseOn(client));
      return true;
    } finally {
      await client.end().catch(() => {});
    }
  }
}

function leaseOn(client: Client): RetentionLease {
  return {
    tenants: async () => {
      const { rows } = await client.query<{ tenant: string }>('SELECT tenant FROM tenants ORDER BY tenant');
      return rows.map((row) => row.tenant);
    },
    removeChanges: async (tenant, { keepMs, limit }) => {
      const { rows } = await client.query<{ removed: number }>(
        "SELECT compact_changes($1, $2::float8 * interval '1 millisecond', $3) AS removed",
        [tenant, keepMs, limit],
      );
      return rows[0]?.removed ?? 0;
    },
    removeReplies: async (limit) => {
      const { rowCount } = await client.query(
        `DELETE FROM request_replies WHERE (tenant, request_id) IN (
          SELECT tenant, request_id FROM request_replies WHERE create_time < now() - interval '24 hours' ORDER BY create_time LIMIT $1)`,
        [limit],
      );
      return rowCount ?? 0;
    },
    removeUsage: async ({ keepMs, limit }) => {
      const { rows } = await client.query<{ removed: number }>(removeUsageSql, [keepMs, limit]);
      return rows[0]?.removed ?? 0;
    },
  };
}

/** An hour has ended an hour after it began. */
const removeUsageSql = `WITH cutoff AS (
    SELECT clock_timestamp() - $1::float8 * interval '1 millisecond' - interval '1 hour' AS hour
  ), usage AS (
    DELETE FROM lookup_usage WHERE (tenant, service, environment, version, hour) IN (
      SELECT u.tenant, u.service, u.environment, u.version, u.hour FROM lookup_usage u WHERE u.hour < (SELECT hour FROM cutoff)
      ORDER BY u.hour LIMIT $2)
    RETURNING 1
  ), reports AS (
    DELETE FROM usage_reports WHERE sidecar_id IN (
      SELECT r.sidecar_id FROM usage_reports r WHERE r.hour < (SELECT hour FROM cutoff) ORDER BY r.hour LIMIT $2)
    RETURNING 1
  )
  SELECT (SELECT count(*) FROM usage) + (SELECT count(*) FROM reports) AS removed`;
