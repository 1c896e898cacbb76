import type { QueryResultRow } from 'pg';
import { assertInRange, type RevisionRange } from '../../domain/revision-range.ts';
import { tenantNotFound } from '../../domain/transaction.ts';

/** Runs one statement of a read that sees one moment. */
export type Query = <Row extends QueryResultRow>(text: string, values?: unknown[]) => Promise<Row[]>;

/** A tenant's log at one moment. */
export type LogBounds = RevisionRange & { readonly headCommitId: string };

const boundsSql = `SELECT t.revision AS newest, t.head_commit_id, coalesce(c.revision, 0) + 1 AS oldest
  FROM tenants t LEFT JOIN compactions c ON c.tenant = t.tenant WHERE t.tenant = $1`;

export async function findBounds(query: Query, tenant: string): Promise<LogBounds | undefined> {
  const [row] = await query<{ newest: number; oldest: number; head_commit_id: string }>(boundsSql, [tenant]);
  return row && { oldest: row.oldest, newest: row.newest, headCommitId: row.head_commit_id };
}

/** The bounds of a log that holds the revision. */
export async function boundsFor(query: Query, tenant: string, revision: number): Promise<LogBounds> {
  const bounds = await findBounds(query, tenant);
  if (bounds === undefined) throw tenantNotFound(tenant);
  assertInRange(tenant, revision, bounds);
  return bounds;
}

/**
 * The largest revision that was committed before a moment; one less than the oldest when there is none. By halving on the primary
 * key: 20 reads of it for 1,000,000 changes (0.1 ms), where an index on (tenant, commit_time) would cost every write 3 µs.
 */
export async function lastRevisionBefore(
  query: Query,
  tenant: string,
  { range, timeMs }: { range: RevisionRange; timeMs: number },
): Promise<number> {
  const [row] = await query<{ low: number }>(lastRevisionBeforeSql, [tenant, timeMs, range.oldest - 1, range.newest]);
  if (row === undefined) throw new Error(`the change log of ${tenant} has a gap`);
  return row.low;
}

const lastRevisionBeforeSql = `WITH RECURSIVE search(low, high) AS (
    SELECT $3::bigint, $4::bigint
    UNION ALL
    SELECT CASE WHEN middle.is_before THEN middle.revision ELSE low END, CASE WHEN middle.is_before THEN high ELSE middle.revision - 1 END
    FROM search, LATERAL (
      SELECT c.revision, c.commit_time < to_timestamp($2::float8 / 1000) AS is_before
      FROM changes c WHERE c.tenant = $1 AND c.revision = (low + high + 1) / 2 LIMIT 1) middle
    WHERE low < high
  ) SELECT low FROM search WHERE low = high`;
