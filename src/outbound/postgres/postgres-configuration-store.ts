import type { Change } from '../../domain/change.ts';
import type { Route, RouteKey } from '../../domain/route.ts';
import type { Tenant } from '../../domain/tenant.ts';
import type { TrafficPolicy, TrafficPolicyKey } from '../../domain/traffic-policy.ts';
import type {
  Commit,
  CommitOutcome,
  CommitReply,
  ConfigurationStore,
  PolicyFilter,
  RouteFilter,
  TenantHead,
  TenantSnapshot,
} from '../../ports/configuration-store.ts';
import { CommitGroups, type GroupOutcome } from './commit-groups.ts';
import { commitParameters, commitSql, groupCommitSql } from './commit.ts';
import { DomainError } from '../../domain/domain-error.ts';
import { isDuplicate, type Database, type Statement } from './database.ts';
import {
  changeColumns,
  changeFromRow,
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

type HeadRow = { tenant: string; revision: number; head_commit_id: string };
type GroupRow = { tenant: string; free: boolean; commit_time: number | null };
type ReplyRow = { request_id: string; fingerprint: string; revision: number; outcomes: CommitReply['outcomes'] };
type ListedRow = RouteRow & { head_revision: number; service: string | null };
type ListedPolicyRow = PolicyRow & { head_revision: number; service: string | null };

const tenantInUse = `EXISTS (SELECT FROM tenants t WHERE t.tenant = $1 AND t.state = 'ACTIVE')`;

const statements = {
  commit: { name: 'commit', text: commitSql },
  groupCommit: { name: 'group_commit', text: groupCommitSql },
  heads: { name: 'heads', text: 'SELECT tenant, revision, head_commit_id FROM tenants' },
  head: { name: 'head', text: 'SELECT tenant, revision, head_commit_id FROM tenants WHERE tenant = $1' },
  changes: {
    name: 'changes',
    text: `SELECT ${changeColumns} FROM changes c WHERE c.tenant = $1 AND c.revision >= $2 ORDER BY c.revision LIMIT $3`,
  },
  changesAt: {
    name: 'changes_at',
    text: `SELECT ${changeColumns} FROM changes c WHERE c.tenant = $1 AND c.revision = ANY($2)`,
  },
  replies: {
    name: 'replies',
    text: `SELECT request_id, fingerprint, revision, outcomes FROM request_replies
      WHERE tenant = $1 AND request_id = ANY($2) AND create_time > now() - interval '24 hours'`,
  },
  getRoute: {
    name: 'get_route',
    text: `SELECT ${routeColumns} FROM routes r WHERE r.tenant = $1 AND r.service = $2 AND r.environment = $3 AND r.version = $4 AND ${tenantInUse}`,
  },
  getPolicy: {
    name: 'get_policy',
    text: `SELECT ${policyColumns} FROM traffic_policies p WHERE p.tenant = $1 AND p.service = $2 AND p.environment = $3 AND ${tenantInUse}`,
  },
  expireReplies: {
    name: 'expire_replies',
    text: `DELETE FROM request_replies WHERE tenant = $1 AND request_id = ANY($2) AND create_time <= now() - interval '24 hours' RETURNING request_id`,
  },
  getTenant: { name: 'get_tenant', text: `SELECT ${tenantColumns} FROM tenants t WHERE t.tenant = $1` },
  listTenants: {
    name: 'list_tenants',
    text: `SELECT ${tenantColumns} FROM tenants t WHERE t.tenant > $1 AND ($3 OR t.state = 'ACTIVE') ORDER BY t.tenant LIMIT $2`,
  },
  // The revision and the page in one statement: both of one moment. The row comparison walks the primary key.
  listRoutes: {
    name: 'list_routes',
    text: `SELECT t.revision AS head_revision, page.* FROM tenants t LEFT JOIN LATERAL (
        SELECT ${routeColumns} FROM routes r
        WHERE r.tenant = t.tenant AND (r.service, r.environment, r.version) > ($2, $3, $4)
          AND ($5 = '' OR r.service = $5) AND ($6 = '' OR r.environment = $6) AND r.state = ANY($7)
        ORDER BY r.service, r.environment, r.version LIMIT $8) page ON true
      WHERE t.tenant = $1 AND t.state = 'ACTIVE' ORDER BY page.service, page.environment, page.version`,
  },
  listPolicies: {
    name: 'list_policies',
    text: `SELECT t.revision AS head_revision, page.* FROM tenants t LEFT JOIN LATERAL (
        SELECT ${policyColumns} FROM traffic_policies p
        WHERE p.tenant = t.tenant AND (p.service, p.environment) > ($2, $3) AND ($4 = '' OR p.service = $4)
        ORDER BY p.service, p.environment LIMIT $5) page ON true
      WHERE t.tenant = $1 AND t.state = 'ACTIVE' ORDER BY page.service, page.environment`,
  },
} as const satisfies Record<string, Statement>;

/** The source of truth in Postgres 15 or newer. */
export class PostgresConfigurationStore implements ConfigurationStore {
  readonly #database: Database;
  readonly #commits: CommitGroups;

  constructor(database: Database) {
    this.#database = database;
    this.#commits = new CommitGroups({
      alone: (commit) => this.#commitAlone(commit),
      together: (commits) => this.#commitTogether(commits),
      isUnanswered: (error) => error instanceof DomainError && error.reason === 'DATABASE_UNAVAILABLE',
    });
  }

  loadAll(): Promise<TenantSnapshot[]> {
    return this.#load('', []);
  }

  async load(tenant: string): Promise<TenantSnapshot | undefined> {
    const [snapshot] = await this.#load('WHERE tenant = $1', [tenant]);
    return snapshot;
  }

  #load(where: string, values: unknown[]): Promise<TenantSnapshot[]> {
    return this.#database.atOneMoment(async (query) => {
      const tenants = await query<TenantRow>(`SELECT ${tenantColumns} FROM tenants t ${where}`, values);
      const routes = groupByTenant(
        (await query<RouteRow>(`SELECT ${routeColumns} FROM routes r ${where}`, values)).map(routeFromRow),
      );
      const policies = groupByTenant(
        (await query<PolicyRow>(`SELECT ${policyColumns} FROM traffic_policies p ${where}`, values)).map(policyFromRow),
      );
      return tenants.map((row) => ({
        tenant: tenantFromRow(row),
        position: { revision: row.revision, commitId: row.head_commit_id },
        routes: routes.get(row.tenant) ?? [],
        policies: policies.get(row.tenant) ?? [],
      }));
    });
  }

  async heads(): Promise<TenantHead[]> {
    return (await this.#database.query<HeadRow>(statements.heads)).map(headFromRow);
  }

  async head(tenant: string): Promise<TenantHead | undefined> {
    const [row] = await this.#database.query<HeadRow>(statements.head, [tenant]);
    return row && headFromRow(row);
  }

  async changesFrom(tenant: string, from: number, limit: number): Promise<Change[]> {
    return (await this.#database.query<ChangeRow>(statements.changes, [tenant, from, limit])).map(changeFromRow);
  }

  async changesAt(tenant: string, revisions: readonly number[]): Promise<Change[]> {
    return (await this.#database.query<ChangeRow>(statements.changesAt, [tenant, revisions])).map(changeFromRow);
  }

  commit(commit: Commit): Promise<CommitOutcome> {
    return this.#commits.commit(commit);
  }

  async #commitAlone(commit: Commit): Promise<CommitOutcome> {
    try {
      const [row] = await this.#database.query<{ commit_time: number }>(statements.commit, commitParameters([commit]));
      return row === undefined ? { kind: 'conflict' } : { kind: 'committed', commitTimeMs: row.commit_time };
    } catch (error) {
      if (!isDuplicate(error, 'request_replies_pkey')) throw error;
      // A reply that has expired and was not purged yet must not be in the way for ever.
      const requestIds = commit.replies.map((reply) => reply.requestId);
      const expired = await this.#database.query(statements.expireReplies, [commit.tenant, requestIds]);
      return expired.length > 0 ? this.#commitAlone(commit) : { kind: 'conflict' };
    }
  }

  async #commitTogether(commits: readonly Commit[]): Promise<GroupOutcome[]> {
    const rows = await this.#database.query<GroupRow>(statements.groupCommit, commitParameters(commits));
    const byTenant = new Map(rows.map((row) => [row.tenant, row]));
    return commits.map(({ tenant }) => {
      const row = byTenant.get(tenant);
      if (row === undefined || !row.free) return { kind: 'busy' };
      return row.commit_time === null ? { kind: 'conflict' } : { kind: 'committed', commitTimeMs: row.commit_time };
    });
  }

  async replies(tenant: string, requestIds: readonly string[]): Promise<CommitReply[]> {
    const rows = await this.#database.query<ReplyRow>(statements.replies, [tenant, requestIds]);
    return rows.map((row) => ({
      requestId: row.request_id,
      fingerprint: row.fingerprint,
      revision: row.revision,
      outcomes: row.outcomes,
    }));
  }

  async getTenant(tenant: string): Promise<Tenant | undefined> {
    const [row] = await this.#database.query<TenantRow>(statements.getTenant, [tenant]);
    return row && tenantFromRow(row);
  }

  async getRoute({ tenant, service, environment, version }: RouteKey): Promise<Route | undefined> {
    const [row] = await this.#database.query<RouteRow>(statements.getRoute, [tenant, service, environment, version]);
    return row && routeFromRow(row);
  }

  async getPolicy({ tenant, service, environment }: TrafficPolicyKey): Promise<TrafficPolicy | undefined> {
    const [row] = await this.#database.query<PolicyRow>(statements.getPolicy, [tenant, service, environment]);
    return row && policyFromRow(row);
  }

  async listRoutes(
    filter: RouteFilter,
    after: Omit<RouteKey, 'tenant'> | undefined,
    limit: number,
  ): Promise<{ routes: Route[]; revision: number } | undefined> {
    const from = [after?.service ?? '', after?.environment ?? '', after?.version ?? ''];
    const rows = await this.#database.query<ListedRow>(statements.listRoutes, [
      filter.tenant,
      ...from,
      filter.service,
      filter.environment,
      filter.states,
      limit,
    ]);
    const [first] = rows;
    if (first === undefined) return undefined;
    return { revision: first.head_revision, routes: first.service === null ? [] : rows.map(routeFromRow) };
  }

  async listPolicies(
    { tenant, service }: PolicyFilter,
    after: Omit<TrafficPolicyKey, 'tenant'> | undefined,
    limit: number,
  ): Promise<{ policies: TrafficPolicy[]; revision: number } | undefined> {
    const from = [after?.service ?? '', after?.environment ?? ''];
    const values = [tenant, ...from, service, limit];
    const rows = await this.#database.query<ListedPolicyRow>(statements.listPolicies, values);
    const [first] = rows;
    if (first === undefined) return undefined;
    return { revision: first.head_revision, policies: first.service === null ? [] : rows.map(policyFromRow) };
  }

  async listTenants(after: string, { limit, showDeleted }: { limit: number; showDeleted: boolean }): Promise<Tenant[]> {
    return (await this.#database.query<TenantRow>(statements.listTenants, [after, limit, showDeleted])).map(
      tenantFromRow,
    );
  }
}

function headFromRow(row: HeadRow): TenantHead {
  return { tenant: row.tenant, position: { revision: row.revision, commitId: row.head_commit_id } };
}

function groupByTenant<Resource extends { readonly key: { readonly tenant: string } }>(
  resources: readonly Resource[],
): Map<string, Resource[]> {
  const groups = new Map<string, Resource[]>();
  for (const resource of resources) {
    const group = groups.get(resource.key.tenant);
    if (group === undefined) groups.set(resource.key.tenant, [resource]);
    else group.push(resource);
  }
  return groups;
}
