import type { Change, ChangeAction, Position } from '../domain/change.ts';
import type { RevisionRange } from '../domain/revision-range.ts';
import type { Route, RouteKey } from '../domain/route.ts';
import type { Tenant } from '../domain/tenant.ts';
import type { TrafficPolicy, TrafficPolicyKey } from '../domain/traffic-policy.ts';
import type { RouteFilter } from './configuration-store.ts';

/** Which changes to list; '' and undefined match everything, and all that is set must match. */
export type ChangeFilter = {
  readonly tenant: string;
  readonly service: string;
  readonly environment: string;
  /** Only changes of routes of this version. */
  readonly version: string;
  /** One of these; none: any. */
  readonly actions: readonly ChangeAction[];
  readonly actor: string;
  readonly correlationId: string;
  /** 0: from the oldest that is kept. */
  readonly revisionMin: number;
  /** Inclusive; 0: up to the newest. */
  readonly revisionMax: number;
  /** Committed at this moment or later, ms since the epoch. */
  readonly startTimeMs: number | undefined;
  /** Committed before this moment, ms since the epoch. */
  readonly endTimeMs: number | undefined;
};

/** Which way, from where, and how many. */
export type ChangePaging = {
  readonly order: 'newest_first' | 'oldest_first';
  /** `next` of the page before; undefined: from the beginning. */
  readonly after: number | undefined;
  readonly limit: number;
};

/** One page of changes. */
export type ChangePage = {
  /** In the asked order: `limit` at most, fewer also when they are large or far between. */
  readonly changes: readonly Change[];
  /** Everything up to here, in the asked order, has been looked at, and there may be more; undefined: this was the last page. */
  readonly next: number | undefined;
  /** The tenant's newest revision when the page was read. */
  readonly newest: number;
};

/** One service in one environment at a revision. */
export type GroupAt = {
  /** The tenant itself, as it then was. */
  readonly tenant: Tenant;
  /** Deleted ones too. */
  readonly routes: readonly Route[];
  readonly policy: TrafficPolicy | undefined;
};

/** One page of routes at a revision. */
export type RoutesAtPage = {
  /** `limit` at most, fewer also when most of the tenant's routes did not exist then. */
  readonly routes: readonly Route[];
  /** Every route up to this key has been looked at, and there may be more; undefined: this was the last page. */
  readonly next: Omit<RouteKey, 'tenant'> | undefined;
};

/** What a route or a policy was; undefined: it did not exist. */
export type ValueBefore<Key, Value> = { readonly key: Key; readonly value: Value | undefined };

/** Everything that changed after a revision, as it was at that revision. */
export type ValuesBefore = {
  /** The tenant's head at the moment that this was read. */
  readonly position: Position;
  readonly routes: readonly ValueBefore<RouteKey, Route>[];
  readonly policies: readonly ValueBefore<TrafficPolicyKey, TrafficPolicy>[];
};

/**
 * The change log as history: what changed, and what everything was before.
 *
 * - Reads see every commit that was answered before they began. What was once answered about a revision never changes, until
 *   retention removes it; the oldest change that is left begins a transaction, and from it on the log has no gap.
 * - "At a revision" means after it was committed. It can be answered for the revisions in `range`: outside of it every method
 *   rejects with REVISION_COMPACTED or REVISION_IN_FUTURE, and of an unknown tenant with TENANT_NOT_FOUND.
 * - The work of a page is bounded, whatever the filter and however long the log is: it then has less than `limit`, and a `next`.
 * - Every method may be called concurrently.
 */
export interface ChangeHistory {
  /**
   * One page of changes. REVISION_COMPACTED when the filter names a `revisionMin` that is no longer kept, or when what
   * comes after `after` in oldest-first order no longer is; otherwise what is not kept is just not listed.
   */
  list(filter: ChangeFilter, paging: ChangePaging): Promise<ChangePage>;
  /**
   * The revision that held at a moment: the largest committed at it or before. Undefined before the tenant's first change. A moment
   * that the database's clock has not reached is REVISION_IN_FUTURE: it could still get changes.
   */
  revisionAt(tenant: string, timeMs: number): Promise<number | undefined>;
  /** Which revisions can be asked for; undefined when there is no such tenant. */
  range(tenant: string): Promise<RevisionRange | undefined>;
  /** One service in one environment at a revision. */
  groupAt(key: TrafficPolicyKey, revision: number): Promise<GroupAt>;
  /** One route at a revision, deleted or not; undefined when it did not exist. */
  routeAt(key: RouteKey, revision: number): Promise<Route | undefined>;
  /** Routes at a revision, as `ConfigurationStore.listRoutes` lists them now: after a key, in bytewise key order. */
  routesAt(
    filter: RouteFilter,
    revision: number,
    paging: { readonly after: Omit<RouteKey, 'tenant'> | undefined; readonly limit: number },
  ): Promise<RoutesAtPage>;
  /** What everything that changed after a revision was at it: what a rollback restores. */
  valuesBefore(tenant: string, revision: number): Promise<ValuesBefore>;
}
