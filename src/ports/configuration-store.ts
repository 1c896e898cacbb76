import type { Change, Position } from '../domain/change.ts';
import type { Route, RouteKey } from '../domain/route.ts';
import type { Tenant } from '../domain/tenant.ts';
import type { TrafficPolicy, TrafficPolicyKey } from '../domain/traffic-policy.ts';

/** Everything a tenant has, at one position of its history. Deleted routes are in it. */
export type TenantSnapshot = {
  readonly tenant: Tenant;
  readonly position: Position;
  readonly routes: readonly Route[];
  readonly policies: readonly TrafficPolicy[];
};

/** Where a tenant's history ends. */
export type TenantHead = { readonly tenant: string; readonly position: Position };

/** Changes to commit together, all of one tenant. They may come from several transactions (a group commit). */
export type Commit = {
  readonly tenant: string;
  /** The position that the changes were worked out on; revision 0: the tenant must not exist. */
  readonly expected: Position;
  /** In revision order from `expected.revision + 1`, without commit times. Empty only when there are replies. */
  readonly changes: readonly Change[];
  readonly replies: readonly CommitReply[];
};

/**
 * The first reply to a request id, kept for 24 hours so that a repetition gets the same. What it answered stands in the
 * change log, so only revisions are kept.
 */
export type CommitReply = {
  readonly requestId: string;
  /** Of what was asked: the same id with another one is a caller's mistake. */
  readonly fingerprint: string;
  /** The tenant's revision after it. */
  readonly revision: number;
  /** For each mutation: the revision of the change that made its resource what was answered, and whether that change was its own. */
  readonly outcomes: readonly { readonly revision: number; readonly changed: boolean }[];
};

/** How a commit ended. */
export type CommitOutcome =
  | { readonly kind: 'committed'; readonly commitTimeMs: number }
  /** Somebody else moved the tenant's head, or answered one of the request ids: catch up, look again, try again. Nothing was written. */
  | { readonly kind: 'conflict' };

/** Which routes to list. */
export type RouteFilter = {
  readonly tenant: string;
  /** '' : all. */
  readonly service: string;
  /** '' : all. */
  readonly environment: string;
  readonly states: readonly ('ACTIVE' | 'INACTIVE' | 'DELETED')[];
};

/** Which policies to list. */
export type PolicyFilter = {
  readonly tenant: string;
  /** '' : all. */
  readonly service: string;
};

/**
 * The source of truth: tenants, routes, policies, and the log of their changes.
 *
 * - A commit is atomic and durable when it is answered, and happens only on top of the position it names: two commits on
 *   one position never both succeed. So a tenant's history is serial, gap-free, and never forks.
 * - When a call rejects with DATABASE_UNAVAILABLE, a commit may or may not have happened: look for its `commitId` in the log.
 * - Reads see every commit that was answered before they began.
 * - Every method may be called concurrently.
 */
export interface ConfigurationStore {
  /** Every tenant, as of one moment. */
  loadAll(): Promise<TenantSnapshot[]>;
  /** One tenant as of one moment; undefined when there is none. */
  load(tenant: string): Promise<TenantSnapshot | undefined>;
  /** Where every tenant's history ends, as of one moment. */
  heads(): Promise<TenantHead[]>;
  /** Where one tenant's history ends; undefined when there is none. */
  head(tenant: string): Promise<TenantHead | undefined>;
  /** The changes with `revision >= from`, oldest first, `limit` at most. */
  changesFrom(tenant: string, from: number, limit: number): Promise<Change[]>;
  /** The changes with these revisions, in any order; what does not exist is left out. */
  changesAt(tenant: string, revisions: readonly number[]): Promise<Change[]>;
  commit(commit: Commit): Promise<CommitOutcome>;
  /** The stored replies to those of the request ids that were used in the last 24 hours. */
  replies(tenant: string, requestIds: readonly string[]): Promise<CommitReply[]>;
  /** In any state; the reads below answer nothing of a tenant that is deleted. */
  getTenant(tenant: string): Promise<Tenant | undefined>;
  getRoute(key: RouteKey): Promise<Route | undefined>;
  getPolicy(key: TrafficPolicyKey): Promise<TrafficPolicy | undefined>;
  /** Routes after a key (exclusive; undefined: from the start) in bytewise key order, with the revision they were read at; undefined: no tenant. */
  listRoutes(
    filter: RouteFilter,
    after: Omit<RouteKey, 'tenant'> | undefined,
    limit: number,
  ): Promise<{ routes: Route[]; revision: number } | undefined>;
  /** Policies after a key (exclusive; undefined: from the start) in bytewise key order, with the revision they were read at; undefined: no tenant. */
  listPolicies(
    filter: PolicyFilter,
    after: Omit<TrafficPolicyKey, 'tenant'> | undefined,
    limit: number,
  ): Promise<{ policies: TrafficPolicy[]; revision: number } | undefined>;
  /** Tenants after a name (exclusive), in bytewise order. */
  listTenants(after: string, options: { readonly limit: number; readonly showDeleted: boolean }): Promise<Tenant[]>;
}

/** Wake-ups between replicas: hints that tenants have moved, so that polling can be slow. They may be lost. */
export interface ChangeSignal {
  /** Calls back with the tenants that moved on another replica; with undefined when hints may have been lost: look at all. */
  subscribe(onMoved: (tenants: readonly string[] | undefined) => void): void;
  /** Tells the other replicas. Coalesced: never waits, never rejects. */
  announce(tenant: string): void;
}
