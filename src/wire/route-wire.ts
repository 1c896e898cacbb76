import type { Endpoint } from '../domain/endpoint.ts';
import type { Lifecycle, Route, RouteKey } from '../domain/route.ts';
import { sorted } from '../domain/digest.ts';
import {
  RouteState,
  type Endpoint as WireEndpoint,
  type Route as WireRoute,
  type RouteKey as WireRouteKey,
} from '../gen/trafficmanager/v1/route.ts';

const defaultWeight = 1;

const stateToWire = {
  ACTIVE: RouteState.ROUTE_STATE_ACTIVE,
  INACTIVE: RouteState.ROUTE_STATE_INACTIVE,
  DELETED: RouteState.ROUTE_STATE_DELETED,
} as const satisfies Record<Lifecycle['state'], RouteState>;

/** The state a wire value names; undefined for UNSPECIFIED, and for numbers that no state has. */
export function stateFromWire(state: RouteState): Lifecycle['state'] | undefined {
  switch (state) {
    case RouteState.ROUTE_STATE_ACTIVE:
      return 'ACTIVE';
    case RouteState.ROUTE_STATE_INACTIVE:
      return 'INACTIVE';
    case RouteState.ROUTE_STATE_DELETED:
      return 'DELETED';
    case RouteState.ROUTE_STATE_UNSPECIFIED:
    case RouteState.UNRECOGNIZED:
      return undefined;
    default:
      // A number from a newer or a broken client.
      return undefined;
  }
}

export function routeKeyFromWire(key: WireRouteKey | undefined): RouteKey {
  return {
    tenant: key?.tenant ?? '',
    service: key?.service ?? '',
    environment: key?.environment ?? '',
    version: key?.version ?? '',
  };
}

export function endpointFromWire(endpoint: WireEndpoint): Endpoint {
  return {
    url: endpoint.url,
    weight: endpoint.weight ?? defaultWeight,
    zone: endpoint.zone,
    priority: endpoint.priority,
    labels: sorted(endpoint.labels),
  };
}

export function routeToWire(route: Route): WireRoute {
  const deleted = route.lifecycle.state === 'DELETED';
  return {
    key: route.key,
    endpoints: route.endpoints.map((endpoint) => ({ ...endpoint, labels: { ...endpoint.labels } })),
    state: stateToWire[route.lifecycle.state],
    revision: BigInt(route.revision),
    etag: route.etag,
    labels: { ...route.labels },
    createTime: new Date(route.createTimeMs),
    updateTime: new Date(route.updateTimeMs),
    // Its deletion is a deleted route's last change.
    deleteTime: deleted ? new Date(route.updateTimeMs) : undefined,
    updatedBy: route.updatedBy,
  };
}

/** A route as another process sent it: trusted to be valid, as it was checked before it was committed. */
export function routeFromWire(wire: WireRoute): Route {
  return {
    key: routeKeyFromWire(wire.key),
    endpoints: wire.endpoints.map(endpointFromWire),
    labels: wire.labels,
    lifecycle: lifecycleFromWire(wire.state),
    revision: Number(wire.revision),
    etag: wire.etag,
    createTimeMs: wire.createTime?.getTime() ?? 0,
    updateTimeMs: wire.updateTime?.getTime() ?? 0,
    updatedBy: wire.updatedBy,
  };
}

/** What a deleted route would come back to is the control plane's to know: it does not travel. */
export function lifecycleFromWire(state: RouteState): Lifecycle {
  const known = stateFromWire(state);
  if (known === 'DELETED') return { state: 'DELETED', deletedFrom: 'INACTIVE' };
  return { state: known ?? 'INACTIVE' };
}
