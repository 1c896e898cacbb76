import type { Freshness, FreshnessSource } from '../domain/freshness.ts';
import type { Resolution, SelectionReason as Reason } from '../domain/resolve.ts';
import type { Route } from '../domain/route.ts';
import type { TrafficPolicy } from '../domain/traffic-policy.ts';
import {
  FreshnessSource as WireSource,
  ResolveResponse,
  SelectionReason,
} from '../gen/trafficmanager/v1/resolver_service.ts';
import { routeToWire } from './route-wire.ts';
import { policyToWire } from './traffic-policy-wire.ts';

const reasonToWire = {
  KEY: SelectionReason.SELECTION_REASON_KEY,
  MATCH_RULE: SelectionReason.SELECTION_REASON_MATCH_RULE,
  SPLIT: SelectionReason.SELECTION_REASON_SPLIT,
  DEFAULT_VERSION: SelectionReason.SELECTION_REASON_DEFAULT_VERSION,
} as const satisfies Record<Reason, SelectionReason>;

const sourceToWire = {
  SNAPSHOT: WireSource.FRESHNESS_SOURCE_SNAPSHOT,
  CACHE: WireSource.FRESHNESS_SOURCE_CACHE,
  CONTROL_PLANE: WireSource.FRESHNESS_SOURCE_CONTROL_PLANE,
  HISTORY: WireSource.FRESHNESS_SOURCE_HISTORY,
} as const satisfies Record<FreshnessSource, WireSource>;

const emptyResponse = { selectionReason: SelectionReason.SELECTION_REASON_UNSPECIFIED, matchRule: '' } as const;
const encodedRoutes = new WeakMap<Route, Uint8Array>();
const encodedPolicies = new WeakMap<TrafficPolicy, Uint8Array>();

/**
 * Encodes an answer as a ResolveResponse. Protobuf lets a message be the concatenation of its parts, so the route and the
 * policy are encoded once in their life, and an answer costs one small encoding and one copy.
 */
export function encodeResolution({ route, policy, reason, matchRule = '' }: Resolution, freshness: Freshness): Buffer {
  const tail = ResolveResponse.encode({
    selectionReason: reasonToWire[reason],
    matchRule,
    freshness: {
      source: sourceToWire[freshness.source],
      revision: BigInt(freshness.revision),
      stalenessMs: BigInt(Math.ceil(freshness.stalenessMs)),
      stale: freshness.stale,
    },
  }).finish();
  const parts = [encodedOnce(encodedRoutes, route, encodeRoute), tail];
  if (policy !== undefined) parts.push(encodedOnce(encodedPolicies, policy, encodePolicy));
  return Buffer.concat(parts);
}

function encodedOnce<Resource extends object>(
  cache: WeakMap<Resource, Uint8Array>,
  resource: Resource,
  encode: (resource: Resource) => Uint8Array,
): Uint8Array {
  let bytes = cache.get(resource);
  if (bytes === undefined) cache.set(resource, (bytes = encode(resource)));
  return bytes;
}

function encodeRoute(route: Route): Uint8Array {
  return ResolveResponse.encode({ ...emptyResponse, route: routeToWire(route) }).finish();
}

function encodePolicy(policy: TrafficPolicy): Uint8Array {
  return ResolveResponse.encode({ ...emptyResponse, trafficPolicy: policyToWire(policy) }).finish();
}
