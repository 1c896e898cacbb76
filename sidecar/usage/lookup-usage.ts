import type { RouteKey } from '../../src/domain/route.ts';
import { sidecarLimits } from '../limits.ts';

/** How often something was looked up since the last take. */
type Count = { lookups: number };
/**
 * The versions of a group that have been looked up since the last take: this one, and those that were before it. A list, because there
 * are mostly one to three, and comparing so many texts takes 4 ns where hashing one for a Map takes 22.
 */
export type GroupUsage = Count & {
  /** Empty: of a tenant's lookups that are not told apart. */
  readonly version: string;
  readonly next: GroupUsage | undefined;
  /** The interval that it is of. */
  readonly interval: number;
};
/** A group in memory, which keeps at hand where its lookups are counted. */
export type Counted = { usage: GroupUsage | undefined };

type GroupKey = Omit<RouteKey, 'version'>;
/** Lookups of a version; of the tenant's that were not told apart when service, environment and version are empty. */
export type VersionLookups = RouteKey & Count;

type CountedGroup = {
  readonly key: GroupKey;
  versions: number;
  usage: GroupUsage | undefined;
  holder: Counted | undefined;
};
type CountedTenant = { versions: number; readonly rest: GroupUsage };

/**
 * Counts answered lookups by version, until they are taken to be reported. Bounded: what is too much for it is counted by tenant,
 * and what is too much for that as one number. A lookup that memory answers finds its count at its group: no joined names, and nothing
 * new but for the first lookup of a version in an interval.
 */
export class LookupUsage {
  #groups = new Map<string, CountedGroup>();
  #tenants = new Map<string, CountedTenant>();
  #versions = 0;
  #untold = 0;
  #interval = 0;

  /** A lookup was answered with this version, from this group if memory did. */
  count(key: GroupKey, version: string, group?: Counted): void {
    const count = this.#find(group?.usage, version) ?? this.#countOf(key, version, group);
    if (count === undefined) this.#untold++;
    else count.lookups++;
  }

  /** Undefined: it cannot even be told whose it is. */
  #countOf(key: GroupKey, version: string, group: Counted | undefined): Count | undefined {
    const tenant = this.#tenantOf(key.tenant);
    if (tenant === undefined) return undefined;
    const name = `${key.tenant}/${key.service}/${key.environment}`;
    const counted = this.#groups.get(name);
    if (counted !== undefined && group !== undefined) {
      // The group was replaced by a change: the new one goes on where it was.
      group.usage = counted.usage;
      counted.holder = group;
    }
    const known = this.#find(counted?.usage, version);
    if (known !== undefined) return known;
    const { versionsMax, versionsPerTenantMax, versionsPerGroupMax } = sidecarLimits.usage;
    const isFull = this.#versions >= versionsMax || tenant.versions >= versionsPerTenantMax;
    if (isFull || (counted !== undefined && counted.versions >= versionsPerGroupMax)) {
      // None of its versions is told apart in this interval: it need not be asked again.
      if (counted === undefined && group !== undefined) group.usage = tenant.rest;
      return tenant.rest;
    }
    tenant.versions++;
    this.#versions++;
    return this.#begin(counted ?? this.#adopt(name, key, group), version);
  }

  #begin(counted: CountedGroup, version: string): Count {
    const usage = { version, lookups: 0, next: counted.usage, interval: this.#interval };
    counted.versions++;
    counted.usage = usage;
    if (counted.holder !== undefined) counted.holder.usage = usage;
    return usage;
  }

  #adopt(name: string, { tenant, service, environment }: GroupKey, holder: Counted | undefined): CountedGroup {
    const counted = { key: { tenant, service, environment }, versions: 0, usage: undefined, holder };
    this.#groups.set(name, counted);
    return counted;
  }

  #tenantOf(name: string): CountedTenant | undefined {
    let tenant = this.#tenants.get(name);
    if (tenant === undefined && this.#tenants.size < sidecarLimits.usage.tenantsMax)
      this.#tenants.set(name, (tenant = { versions: 0, rest: this.#newRest() }));
    return tenant;
  }

  #newRest(): GroupUsage {
    return { version: '', lookups: 0, next: undefined, interval: this.#interval };
  }

  /** Everything that was counted since the last take, and how many lookups it cannot tell the tenant of. Counting begins anew. */
  take(): { readonly versions: readonly VersionLookups[]; readonly untold: number } {
    const versions: VersionLookups[] = [];
    for (const { key, usage: first, holder } of this.#groups.values()) {
      if (holder !== undefined) holder.usage = undefined;
      for (let usage = first; usage !== undefined; usage = usage.next)
        versions.push({ ...key, version: usage.version, lookups: usage.lookups });
    }
    for (const [tenant, { rest }] of this.#tenants)
      if (rest.lookups > 0) versions.push({ tenant, service: '', environment: '', version: '', lookups: rest.lookups });
    const untold = this.#untold;
    this.#groups = new Map();
    this.#tenants = new Map();
    this.#versions = this.#untold = 0;
    this.#interval++;
    return { versions, untold };
  }

  #find(first: GroupUsage | undefined, version: string): GroupUsage | undefined {
    let usage = first;
    while (usage !== undefined && usage.version !== version) {
      if (usage.version === '' && usage.interval === this.#interval) return usage;
      usage = usage.next;
    }
    return usage;
  }
}
