import type { RouteKey } from '../domain/route.ts';

/** Lookups of a version; of those of the tenant that were not told apart when service, environment and version are empty. */
export type VersionLookups = RouteKey & { readonly lookups: number };

/** What one sidecar has counted since its report before. */
export type UsageReport = {
  readonly sidecarId: string;
  /** From 1 on, one more with each report of a sidecar. */
  readonly sequence: number;
  readonly versions: readonly VersionLookups[];
};

/** Empty names match everything. */
export type UsageFilter = RouteKey & {
  /** Only from the hour of this moment on, ms since the epoch; undefined: all that is kept. */
  readonly startTimeMs: number | undefined;
};

/** What is known of the lookups of a version, in the hours that were asked for. */
export type VersionUsage = Omit<RouteKey, 'tenant'> & {
  readonly lookups: number;
  /** The beginning of the last hour in which it was looked up, ms since the epoch. */
  readonly lastLookupTimeMs: number;
};

/** How often versions are looked up, added up by hour of the store's clock. */
export interface LookupUsage {
  /**
   * Adds a report, all of it or nothing, unless this one or a later one of the same sidecar was added before: then false. A version may be
   * in it several times. Of tenants and versions that never existed nothing is kept.
   */
  add(report: UsageReport): Promise<boolean>;
  /**
   * The versions of a tenant that were looked up, in the order of service, environment and version, `limit` at most, after `after`.
   * What was not told apart matches every filter, and comes first. Undefined: there is no such tenant.
   */
  list(
    filter: UsageFilter,
    page: { readonly after: Omit<RouteKey, 'tenant'> | undefined; readonly limit: number },
  ): Promise<readonly VersionUsage[] | undefined>;
}
