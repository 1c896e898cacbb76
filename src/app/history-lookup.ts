import type { At, Freshness } from '../domain/freshness.ts';
import { resolve, type Lookup, type Resolution } from '../domain/resolve.ts';
import type { TenantView } from '../domain/tenant-view.ts';
import { tenantNotFound } from '../domain/transaction.ts';
import type { ChangeHistory, GroupAt } from '../ports/change-history.ts';

/** The revision that a point in the past means. Before the tenant's first change: TENANT_NOT_FOUND, as there was none. */
export async function revisionOf(history: ChangeHistory, tenant: string, at: At): Promise<number> {
  switch (at.kind) {
    case 'at_revision':
      return at.revision;
    case 'at_time': {
      const revision = await history.revisionAt(tenant, at.timeMs);
      if (revision === undefined) throw tenantNotFound(tenant);
      return revision;
    }
  }
}

/** A lookup answered from the past. */
export async function resolveAt(
  history: ChangeHistory,
  lookup: Lookup,
  { at, random }: { at: At; random: () => number },
): Promise<{ resolution: Resolution; freshness: Freshness }> {
  const revision = await revisionOf(history, lookup.tenant, at);
  const group = await history.groupAt(lookup, revision);
  const resolution = resolve(viewOf(lookup, group), lookup, random);
  return { resolution, freshness: { source: 'HISTORY', revision, stalenessMs: 0, stale: false } };
}

/** As much of the tenant as one lookup needs. */
function viewOf(lookup: Lookup, { tenant, routes, policy }: GroupAt): TenantView {
  const group =
    routes.length === 0 && policy === undefined
      ? undefined
      : { policy, routes: new Map(routes.map((route) => [route.key.version, route])) };
  return {
    tenant,
    find: (service, environment) =>
      service === lookup.service && environment === lookup.environment ? group : undefined,
  };
}
