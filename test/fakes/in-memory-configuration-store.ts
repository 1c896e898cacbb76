import type { Change, Position } from '../../src/domain/change.ts';
import type { Route, RouteKey } from '../../src/domain/route.ts';
import type { Tenant } from '../../src/domain/tenant.ts';
import type { TrafficPolicy, TrafficPolicyKey } from '../../src/domain/traffic-policy.ts';
import type {
  Commit,
  CommitOutcome,
  CommitReply,
  ConfigurationStore,
  TenantSnapshot,
} from '../../src/ports/configuration-store.ts';

type TenantRecord = {
  tenant: Tenant;
  position: Position;
  commitTimeMs: number;
  readonly routes: Map<string, Route>;
  readonly policies: Map<string, TrafficPolicy>;
  readonly changes: Change[];
  readonly replies: Map<string, { reply: CommitReply; storedAtMs: number }>;
};

const replyLifetimeMs = 24 * 60 * 60 * 1_000;

/** The configuration store's contract without a database. It runs the port's contract suite, as every adapter does. */
export function createInMemoryConfigurationStore(wallMs: () => number): ConfigurationStore {
  const tenants = new Map<string, TenantRecord>();
  // What goes in and out is copied, as it is by a database: nobody can reach into the store through a shared object.
  const copy = <Value>(value: Value): Value => structuredClone(value);
  const inUse = (tenant: string): TenantRecord | undefined => {
    const record = tenants.get(tenant);
    return record?.tenant.state === 'ACTIVE' ? record : undefined;
  };
  return {
    loadAll: async () => copy([...tenants.values()].map(snapshotOf)),
    load: async (tenant) => {
      const record = tenants.get(tenant);
      return record && copy(snapshotOf(record));
    },
    heads: async () => [...tenants.values()].map(({ tenant, position }) => ({ tenant: tenant.tenant, position })),
    head: async (tenant) => {
      const record = tenants.get(tenant);
      return record && { tenant, position: record.position };
    },
    changesFrom: async (tenant, from, limit) => {
      const changes = tenants.get(tenant)?.changes ?? [];
      const start = Math.max(from, 1) - 1;
      return copy(changes.slice(start, start + limit));
    },
    changesAt: async (tenant, revisions) => {
      const changes = tenants.get(tenant)?.changes ?? [];
      return copy(revisions.flatMap((revision) => changes[revision - 1] ?? []));
    },
    commit: async (commit) => commitTo(tenants, copy(commit), wallMs()),
    replies: async (tenant, requestIds) => {
      const kept = tenants.get(tenant)?.replies;
      const found = requestIds.flatMap((requestId) => kept?.get(requestId) ?? []);
      return copy(found.filter(({ storedAtMs }) => storedAtMs > wallMs() - replyLifetimeMs).map(({ reply }) => reply));
    },
    getTenant: async (tenant) => copy(tenants.get(tenant)?.tenant),
    getRoute: async (key) => copy(inUse(key.tenant)?.routes.get(routePath(key))),
    getPolicy: async (key) => copy(inUse(key.tenant)?.policies.get(policyPath(key))),
    listRoutes: async ({ tenant, service, environment, states }, after, limit) => {
      const record = inUse(tenant);
      if (record === undefined) return undefined;
      const from = after === undefined ? '' : routePath(after);
      const routes = [...record.routes.entries()]
        .filter(([path]) => path > from)
        .filter(([, { key }]) => service === '' || key.service === service)
        .filter(([, { key }]) => environment === '' || key.environment === environment)
        .filter(([, { lifecycle }]) => states.includes(lifecycle.state))
        .toSorted(byPath)
        .map(([, route]) => route);
      return { routes: copy(routes.slice(0, limit)), revision: record.position.revision };
    },
    listPolicies: async ({ tenant, service }, after, limit) => {
      const record = inUse(tenant);
      if (record === undefined) return undefined;
      const from = after === undefined ? '' : policyPath(after);
      const policies = [...record.policies.entries()]
        .filter(([path, { key }]) => path > from && (service === '' || key.service === service))
        .toSorted(byPath)
        .map(([, policy]) => policy);
      return { policies: copy(policies.slice(0, limit)), revision: record.position.revision };
    },
    listTenants: async (after, { limit, showDeleted }) => {
      const found = [...tenants.entries()]
        .filter(([name, { tenant }]) => name > after && (showDeleted || tenant.state === 'ACTIVE'))
        .toSorted(byPath);
      return copy(found.slice(0, limit).map(([, { tenant }]) => tenant));
    },
  };
}

/** Names hold no NUL, and it sorts before every other character: so paths sort as the tuples of their parts do. */
function routePath({ service, environment, version }: Omit<RouteKey, 'tenant'>): string {
  return [service, environment, version].join('\0');
}

function policyPath({ service, environment }: Omit<TrafficPolicyKey, 'tenant'>): string {
  return [service, environment].join('\0');
}

/** Names are ASCII, so the order of UTF-16 units is that of bytes. */
function byPath([left]: readonly [string, unknown], [right]: readonly [string, unknown]): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

function snapshotOf({ tenant, position, routes, policies }: TenantRecord): TenantSnapshot {
  return { tenant, position, routes: [...routes.values()], policies: [...policies.values()] };
}

function commitTo(tenants: Map<string, TenantRecord>, commit: Commit, nowMs: number): CommitOutcome {
  const { tenant, expected, changes, replies } = commit;
  const found = tenants.get(tenant);
  const head = found?.position ?? { revision: 0, commitId: '' };
  if (head.revision !== expected.revision || head.commitId !== expected.commitId) return { kind: 'conflict' };
  const answered = replies.some(
    ({ requestId }) => (found?.replies.get(requestId)?.storedAtMs ?? -Infinity) > nowMs - replyLifetimeMs,
  );
  if (answered) return { kind: 'conflict' };
  const record: TenantRecord = found ?? {
    tenant: {
      tenant,
      displayName: '',
      quotas: {},
      state: 'ACTIVE',
      etag: '',
      revision: 0,
      ownRevision: 0,
      createTimeMs: 0,
    },
    position: head,
    commitTimeMs: 0,
    routes: new Map(),
    policies: new Map(),
    changes: [],
    replies: new Map(),
  };
  tenants.set(tenant, record);
  if (changes.length > 0) record.commitTimeMs = Math.max(record.commitTimeMs, nowMs);
  for (const change of changes) applyTo(record, atTime(change, record.commitTimeMs));
  for (const reply of replies) record.replies.set(reply.requestId, { reply, storedAtMs: nowMs });
  return { kind: 'committed', commitTimeMs: record.commitTimeMs };
}

function applyTo(record: TenantRecord, change: Change): void {
  const { subject, revision, commitId } = change;
  record.changes.push(change);
  record.position = { revision, commitId };
  if (subject.kind === 'tenant') record.tenant = subject.after;
  else if (subject.kind === 'route') record.routes.set(routePath(subject.after.key), subject.after);
  else if (subject.after === undefined) record.policies.delete(policyPath(subject.key));
  else record.policies.set(policyPath(subject.key), subject.after);
  record.tenant = { ...record.tenant, revision };
}

/** A time of 0, of the change or of what it carries, is that of the commit. */
function atTime(change: Change, commitTimeMs: number): Change {
  const filled: unknown = JSON.parse(JSON.stringify(change), (name, value: unknown) =>
    /^(create|update|commit)TimeMs$/.test(name) && value === 0 ? commitTimeMs : value,
  );
  const { subject } = filled as Change;
  // JSON leaves out what is undefined; the store says it.
  const explicit = { ...subject, before: subject.before, after: subject.after } as Change['subject'];
  return { ...(filled as Change), subject: explicit };
}
