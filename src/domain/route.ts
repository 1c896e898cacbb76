import { digest64, sorted } from './digest.ts';
import { validateEndpoints, type Endpoint } from './endpoint.ts';
import { limits } from './limits.ts';
import type { Violations } from './validation.ts';

/** Names one route. */
export type RouteKey = {
  readonly tenant: string;
  readonly service: string;
  readonly environment: string;
  readonly version: string;
};

/** The states in which a route exists for its owner. */
export type LiveState = 'ACTIVE' | 'INACTIVE';

/** Where a route is in its life. A deleted one remembers what to come back to. */
export type Lifecycle =
  | { readonly state: 'ACTIVE' }
  | { readonly state: 'INACTIVE' }
  | { readonly state: 'DELETED'; readonly deletedFrom: LiveState };

/** What a mutation can change about a route. */
export type RouteValue = {
  readonly endpoints: readonly Endpoint[];
  readonly labels: Readonly<Record<string, string>>;
  readonly lifecycle: Lifecycle;
};

/** When and by whom a resource last changed. */
export type Provenance = {
  /** The tenant's revision that last changed it. */
  readonly revision: number;
  readonly etag: string;
  /** Database clock, milliseconds since the epoch. */
  readonly createTimeMs: number;
  readonly updateTimeMs: number;
  readonly updatedBy: string;
};

/** A route as committed. Its deletion is its last change, so `updateTimeMs` of a deleted route is when it was deleted. */
export type Route = RouteValue & Provenance & { readonly key: RouteKey };

/** `acme/cart/production/v2`: for messages and logs. */
export function routeName(key: RouteKey): string {
  return `${key.tenant}/${key.service}/${key.environment}/${key.version}`;
}

/** One text for equal values: what "nothing changed" and the etag are decided by. */
export function canonicalRouteValue(value: RouteValue): string {
  const deletedFrom = value.lifecycle.state === 'DELETED' ? value.lifecycle.deletedFrom : undefined;
  return JSON.stringify([
    value.lifecycle.state,
    deletedFrom,
    sorted(value.labels),
    value.endpoints.map((endpoint) => [
      endpoint.url,
      endpoint.weight,
      endpoint.zone,
      endpoint.priority,
      sorted(endpoint.labels),
    ]),
  ]);
}

/** Differs whenever the revision or the value does: also between two histories that reached the same revision. */
export function etagOf(canonicalValue: string, revision: number): string {
  return digest64(`${revision} ${canonicalValue}`);
}

/** Adds everything that is wrong with a key. */
export function validateRouteKey(violations: Violations, field: string, key: RouteKey): void {
  violations.name(`${field}.tenant`, key.tenant);
  violations.name(`${field}.service`, key.service);
  violations.name(`${field}.environment`, key.environment);
  violations.version(`${field}.version`, key.version);
}

/** Adds everything that is wrong with what a caller wants a route to be. */
export function validateRouteValue(violations: Violations, field: string, value: RouteValue): void {
  validateEndpoints(violations, `${field}.endpoints`, value.endpoints);
  violations.labels(`${field}.labels`, value.labels);
  if (violations.isEmpty && canonicalRouteValue(value).length > limits.routeBytesMax) {
    violations.add(field, `is larger than ${limits.routeBytesMax} bytes`);
  }
}
