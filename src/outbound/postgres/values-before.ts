import type { Route, RouteKey } from '../../domain/route.ts';
import type { TrafficPolicy, TrafficPolicyKey } from '../../domain/traffic-policy.ts';
import type { ValueBefore, ValuesBefore } from '../../ports/change-history.ts';
import type { Query } from './revision-bounds.ts';
import {
  milliseconds,
  policyFromDocument,
  routeFromDocument,
  type PolicyDocument,
  type RouteDocument,
} from './rows.ts';

/**
 * The past is read backwards: what something was at a revision is `before` of its first change after that, and what has not
 * changed since is as it is now. So it needs no change from before the revision, and the log may be cut there.
 */
const columns = `c.service, c.environment, c.version, ${milliseconds('c.commit_time')} AS commit_time, c.before`;

type SubjectRow = { service: string; environment: string; commit_time: number } & (
  | { version: string; before: RouteDocument | null }
  | { version: null; before: PolicyDocument | null }
);

type RouteBefore = ValueBefore<RouteKey, Route>;
type PolicyBefore = ValueBefore<TrafficPolicyKey, TrafficPolicy>;

/** What routes were at a revision, of those that have changed since. */
export async function routesBefore(
  query: Query,
  keys: readonly RouteKey[],
  { tenant, revision }: { tenant: string; revision: number },
): Promise<RouteBefore[]> {
  if (keys.length === 0) return [];
  const rows = await query<SubjectRow>(
    `SELECT ${columns} FROM unnest($2::text[], $3::text[], $4::text[]) AS k(service, environment, version), LATERAL (
        SELECT c.* FROM changes c
        WHERE c.tenant = $1 AND c.service = k.service AND c.environment = k.environment AND c.version = k.version AND c.revision > $5
        ORDER BY c.revision NULLS FIRST LIMIT 1) c`,
    [
      tenant,
      keys.map((key) => key.service),
      keys.map((key) => key.environment),
      keys.map((key) => key.version),
      revision,
    ],
  );
  return rows.flatMap((row) => (row.version === null ? [] : [routeBefore(tenant, row)]));
}

/** What a policy was at a revision; undefined when it has not changed since. The order is that of the subjects' index, and of no other. */
export async function policyBefore(
  query: Query,
  { tenant, service, environment }: TrafficPolicyKey,
  revision: number,
): Promise<PolicyBefore | undefined> {
  const [row] = await query<SubjectRow>(
    `SELECT ${columns} FROM changes c
      WHERE c.tenant = $1 AND c.service = $2 AND c.environment = $3 AND c.version IS NULL AND c.revision > $4
      ORDER BY c.version, c.revision NULLS FIRST LIMIT 1`,
    [tenant, service, environment, revision],
  );
  return row === undefined || row.version !== null ? undefined : policyBeforeRow(tenant, row);
}

/**
 * Everything of a tenant that has changed since a revision, as it was. First which changes, from an index alone (0.4 s when
 * 1,000,000 follow), then their documents in parts, so that no statement is long.
 */
export async function allBefore(
  query: Query,
  tenant: string,
  { revision, documentsPerStatement }: { revision: number; documentsPerStatement: number },
): Promise<Pick<ValuesBefore, 'routes' | 'policies'>> {
  const first = await query<{ revision: number }>(
    `SELECT min(c.revision) AS revision FROM changes c WHERE c.tenant = $1 AND c.revision > $2 AND c.service IS NOT NULL
      GROUP BY c.service, c.environment, c.version`,
    [tenant, revision],
  );
  const revisions = first.map((row) => row.revision).toSorted((left, right) => left - right);
  const routes: RouteBefore[] = [];
  const policies: PolicyBefore[] = [];
  for (let start = 0; start < revisions.length; start += documentsPerStatement) {
    const part = revisions.slice(start, start + documentsPerStatement);
    const rows = await query<SubjectRow>(
      `SELECT ${columns} FROM unnest($2::bigint[]) AS k(revision) JOIN changes c ON c.tenant = $1 AND c.revision = k.revision`,
      [tenant, part],
    );
    for (const row of rows) {
      if (row.version === null) policies.push(policyBeforeRow(tenant, row));
      else routes.push(routeBefore(tenant, row));
    }
  }
  return { routes, policies };
}

function routeBefore(tenant: string, row: Extract<SubjectRow, { version: string }>): RouteBefore {
  const { service, environment, version, before } = row;
  const key = { tenant, service, environment, version };
  return { key, value: before === null ? undefined : routeFromDocument(key, before, row.commit_time) };
}

function policyBeforeRow(tenant: string, row: Extract<SubjectRow, { version: null }>): PolicyBefore {
  const { service, environment, before } = row;
  const key = { tenant, service, environment };
  return { key, value: before === null ? undefined : policyFromDocument(key, before, row.commit_time) };
}
