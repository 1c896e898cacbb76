import { InvalidArgumentError } from 'commander';
import type { RouteKey, TrafficPolicyKey } from '../client/index.ts';

/** Reads TENANT/SERVICE/ENVIRONMENT/VERSION. Whether the names are good ones is for the server to say. */
export function parseRouteKey(path: string): RouteKey {
  const [tenant, service, environment, version] = split(path, [4]);
  return { tenant, service, environment, version };
}

/** Reads TENANT/SERVICE/ENVIRONMENT or TENANT/SERVICE/ENVIRONMENT/VERSION; without a version the policy chooses one. */
export function parseLookupKey(path: string): RouteKey {
  const [tenant, service, environment, version] = split(path, [3, 4]);
  return { tenant, service, environment, version };
}

/** Reads TENANT/SERVICE/ENVIRONMENT. */
export function parsePolicyKey(path: string): TrafficPolicyKey {
  const [tenant, service, environment] = split(path, [3]);
  return { tenant, service, environment };
}

/** What {@link parseRouteKey} and {@link parsePolicyKey} read. */
export function formatKey(key: TrafficPolicyKey & { readonly version?: string }): string {
  const { tenant, service, environment, version } = key;
  return [tenant, service, environment, ...(version === undefined ? [] : [version])].join('/');
}

function split(path: string, lengths: readonly number[]): [string, string, string, string] {
  const parts = path.split('/');
  if (!lengths.includes(parts.length) || parts.includes('')) {
    const form = lengths.includes(4) ? 'TENANT/SERVICE/ENVIRONMENT/VERSION' : 'TENANT/SERVICE/ENVIRONMENT';
    throw new InvalidArgumentError(
      `It must be ${lengths.includes(3) ? form.replace('/VERSION', '[/VERSION]') : form}.`,
    );
  }
  const [tenant = '', service = '', environment = '', version = ''] = parts;
  return [tenant, service, environment, version];
}
