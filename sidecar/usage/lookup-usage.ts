import type { RouteKey } from '../../src/domain/route.ts';
import { sidecarLimits } from '../limits.ts';

/** How often something was looked up since the last take. */
type Count = { lookups: number };
/** The versions of a group that have been looked up since the last take. */
export type GroupUsage = Map<string, Count>;
/** A group in memory, which keeps at hand where its lookups are counted. */
export type Counted = { usage: GroupUsage | undefined };

/** Lookups of a version; of the tenant's that were not told apart when service, environment and version are empty. */
export type VersionLookups = RouteKey & Count;

type CountedGroup = {
  readonly key: Omit<RouteKey, 'version'>;
  readonly versions: GroupUsage;
  holder: Counted | undefined;
};
type CountedTenant = { versions: number; readonly rest: Count };

/**
 * Counts answered lookups by version, until they are taken to be reported. Bounded: what is too much for it is counted by tenant,
 * and what is too much for that as one number. A lookup that memory answers finds its count at its group: that takes one look into a
 * small map, no joined names and nothing new (20 ns); only the first lookup of a version in an interval makes anything.
 */
export class LookupUsage {
  #groups = new Map<string, CountedGroup>();
  #tenants = new Map<string, CountedTenant>();
  #versions = 0;
  #untold = 0;

  /** A lookup was answered with this version, from this group if memory did. */
  count(key: Omit<RouteKey, 'version'>, version: string, group?: Counted): void {
    const count = group?.usage?.get(version) ?? this.#countOf(key, version, group);
    if (count === undefined) this.#untold++;
    else count.lookups++;
  }

  /** Undefined: it cannot even be told whose it is. */
  #countOf(key: Omit<RouteKey, 'version'>, version: string, group: Counted | undefined): Count | undefined {
    const name = `${key.tenant}/${key.service}/${key.environment}`;
    const counted = this.#groups.get(name);
    if (counted !== undefined && group !== undefined) {
      // The group was replaced by a change: the new one goes on where it was.
      group.usage = counted.versions;
      counted.holder = group;
    }
    const known = counted?.versions.get(version);
    if (known !== undefined) return known;
    const tenant = this.#tenantOf(key.tenant);
    if (tenant === undefined) return undefined;
    const { versionsMax, versionsPerTenantMax } = sidecarLimits.usage;
    if (this.#versions >= versionsMax || tenant.versions >= versionsPerTenantMax) return tenant.rest;
    const count = { lookups: 0 };
    (counted?.versions ?? this.#begin(name, key, group)).set(version, count);
    tenant.versions++;
    this.#versions++;
    return count;
  }

  #begin(
    name: string,
    { tenant, service, environment }: Omit<RouteKey, 'version'>,
    holder: Counted | undefined,
  ): GroupUsage {
    const versions: GroupUsage = new Map();
    this.#groups.set(name, { key: { tenant, service, environment }, versions, holder });
    if (holder !== undefined) holder.usage = versions;
    return versions;
  }

  #tenantOf(name: string): CountedTenant | undefined {
    let tenant = this.#tenants.get(name);
    if (tenant === undefined && this.#tenants.size < sidecarLimits.usage.tenantsMax)
      this.#tenants.set(name, (tenant = { versions: 0, rest: { lookups: 0 } }));
    return tenant;
  }

  /** Everything that was counted since the last take, and how many lookups it cannot tell the tenant of. Counting begins anew. */
  take(): { readonly versions: readonly VersionLookups[]; readonly untold: number } {
    const versions: VersionLookups[] = [];
    for (const { key, versions: counts, holder } of this.#groups.values()) {
      if (holder?.usage === counts) holder.usage = undefined;
      for (const [version, { lookups }] of counts) versions.push({ ...key, version, lookups });
    }
    for (const [tenant, { rest }] of this.#tenants)
      if (rest.lookups > 0) versions.push({ tenant, service: '', environment: '', version: '', ...rest });
    const untold = this.#untold;
    this.#groups = new Map();
    this.#tenants = new Map();
    this.#versions = this.#untold = 0;
    return { versions, untold };
  }
}
