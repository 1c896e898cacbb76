import { DomainError } from './domain-error.ts';
import type { Route } from './route.ts';
import type { ServiceEnvironment, TenantView } from './tenant-view.ts';
import { tenantNotFound } from './transaction.ts';
import type { TrafficPolicy, WeightedVersion } from './traffic-policy.ts';

/** One lookup. */
export type Lookup = {
  readonly tenant: string;
  readonly service: string;
  readonly environment: string;
  /** '' leaves the choice to the traffic policy. */
  readonly version: string;
  /** Equal keys get equal versions of a split; '' draws by chance. */
  readonly hashKey: string;
};

/** Why a version was chosen. */
export type SelectionReason = 'KEY' | 'SPLIT' | 'DEFAULT_VERSION';

/** Where a call goes. */
export type Resolution = {
  readonly route: Route;
  readonly policy: TrafficPolicy | undefined;
  readonly reason: SelectionReason;
};

/**
 * Answers one lookup from a tenant's configuration. Cost: two map reads for the group and one for the version; a split adds
 * one hash a branch. Throws a DomainError with one of the NOT_FOUND reasons.
 */
export function resolve(view: TenantView, lookup: Lookup, random: () => number): Resolution {
  if (view.tenant === undefined) throw tenantNotFound(lookup.tenant);
  const group = view.find(lookup.service, lookup.environment);
  if (lookup.version !== '')
    return { route: activeRoute(group, lookup.version, lookup), policy: group?.policy, reason: 'KEY' };
  if (group?.policy === undefined) throw notSelected(lookup, group);
  const { policy } = group;
  const branch = chooseBranch(group, policy.split, lookup.hashKey, random);
  if (branch !== undefined) return { route: branch, policy, reason: 'SPLIT' };
  if (policy.defaultVersion === '') throw notSelected(lookup, group);
  return { route: activeRoute(group, policy.defaultVersion, lookup), policy, reason: 'DEFAULT_VERSION' };
}

function nameOf(lookup: Lookup, version: string): string {
  return [lookup.tenant, lookup.service, lookup.environment, ...(version === '' ? [] : [version])].join('/');
}

function activeRoute(group: ServiceEnvironment | undefined, version: string, lookup: Lookup): Route {
  const route = group?.routes.get(version);
  const name = nameOf(lookup, version);
  if (route === undefined || route.lifecycle.state === 'DELETED') {
    throw new DomainError('ROUTE_NOT_FOUND', `there is no route ${name}`, { metadata: { route: name } });
  }
  if (route.lifecycle.state === 'INACTIVE')
    throw new DomainError('ROUTE_INACTIVE', `route ${name} is inactive`, { metadata: { route: name } });
  return route;
}

function notSelected(lookup: Lookup, group: ServiceEnvironment | undefined): DomainError {
  const name = nameOf(lookup, '');
  if (group === undefined || !hasLiveRoute(group))
    return new DomainError('ROUTE_NOT_FOUND', `there is no route of ${name}`, { metadata: { route: name } });
  return new DomainError(
    'VERSION_NOT_SELECTED',
    `no version was asked for and no traffic policy of ${name} chooses one`,
    { metadata: { route: name } },
  );
}

function hasLiveRoute(group: ServiceEnvironment): boolean {
  for (const route of group.routes.values()) if (route.lifecycle.state !== 'DELETED') return true;
  return false;
}

/**
 * Weighted rendezvous hashing: every branch draws `-weight / ln(u)` with u from the hash of (hash key, version), the highest
 * wins. So a call moves only when a weight that concerns it does: raising v2 from 10 to 20 moves calls to v2 and none
 * between the others. (Buckets modulo the weight total, the usual way, reshuffle about half.)
 */
function chooseBranch(
  group: ServiceEnvironment,
  split: readonly WeightedVersion[],
  hashKey: string,
  random: () => number,
): Route | undefined {
  let best: Route | undefined;
  let bestScore = Number.NEGATIVE_INFINITY;
  for (const { version, weight } of split) {
    const route = weight > 0 ? group.routes.get(version) : undefined;
    if (route?.lifecycle.state !== 'ACTIVE') continue;
    const uniform = hashKey === '' ? random() : hashToUniform(hashKey, version);
    const score = -weight / Math.log(uniform);
    if (best === undefined || score > bestScore) {
      best = route;
      bestScore = score;
    }
  }
  return best;
}

/** A number in (0, 1) that looks random and depends on both texts alone: FNV-1a over them, finished by murmur3's mixer. */
function hashToUniform(hashKey: string, version: string): number {
  let hash = 0x81_1c_9d_c5;
  for (let index = 0; index < hashKey.length; index++)
    hash = Math.imul(hash ^ hashKey.charCodeAt(index), 0x01_00_01_93);
  hash = Math.imul(hash ^ 0x1_00_00, 0x01_00_01_93);
  for (let index = 0; index < version.length; index++)
    hash = Math.imul(hash ^ version.charCodeAt(index), 0x01_00_01_93);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85_eb_ca_6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2_b2_ae_35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 4_294_967_296 + 1 / 8_589_934_592;
}
