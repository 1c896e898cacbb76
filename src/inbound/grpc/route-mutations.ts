import { sorted } from '../../domain/digest.ts';
import type { Mutation } from '../../domain/mutation.ts';
import {
  validateRouteKey,
  validateRouteValue,
  type LiveState,
  type RouteKey,
  type RouteValue,
} from '../../domain/route.ts';
import {
  validateTrafficPolicyKey,
  validateTrafficPolicyValue,
  type TrafficPolicyKey,
} from '../../domain/traffic-policy.ts';
import type { Violations } from '../../domain/validation.ts';
import {
  RouteState,
  type Route as WireRoute,
  type RouteKey as WireRouteKey,
} from '../../gen/trafficmanager/v1/route.ts';
import type { RouteWrite } from '../../gen/trafficmanager/v1/route_service.ts';
import type {
  TrafficPolicy as WirePolicy,
  TrafficPolicyKey as WirePolicyKey,
} from '../../gen/trafficmanager/v1/traffic_policy.ts';
import { endpointFromWire, routeKeyFromWire, stateFromWire } from '../../wire/route-wire.ts';
import { policyKeyFromWire, policyValueFromWire } from '../../wire/traffic-policy-wire.ts';
import { updateMask } from './update-mask.ts';

// Requests as mutations: what each RPC and each write of a batch has in common. `field` is the path of the message in the
// request, for the violations; a mutation is meaningful only when there are none.

export function createRouteMutation(violations: Violations, field: string, wire: WireRoute | undefined): Mutation {
  const key = checkedRouteKey(violations, `${field}.key`, wire?.key);
  const value = routeValue(wire, initialState(violations, `${field}.state`, wire?.state));
  validateRouteValue(violations, field, value);
  return { kind: 'create_route', key, value };
}

type RouteUpdate = {
  readonly route?: WireRoute | undefined;
  readonly updateMask?: readonly string[] | undefined;
  readonly allowMissing: boolean;
};

export function updateRouteMutation(
  violations: Violations,
  field: string,
  { route, updateMask: paths, allowMissing }: RouteUpdate,
): Mutation {
  const key = checkedRouteKey(violations, `${field}.key`, route?.key);
  const mask = updateMask(violations, paths, ['endpoints', 'labels']);
  // The state is for a route that this creates; the one of a route that exists is changed by its own methods only.
  const state = allowMissing ? initialState(violations, `${field}.state`, route?.state) : 'ACTIVE';
  const value = routeValue(route, state);
  const endpoints = mask.has('endpoints') ? value.endpoints : undefined;
  const labels = mask.has('labels') ? value.labels : undefined;
  // What the mask leaves out is not looked at: an endpoint that is always valid stands in for it.
  validateRouteValue(violations, field, { ...value, endpoints: endpoints ?? [validEndpoint], labels: labels ?? {} });
  return {
    kind: 'update_route',
    key,
    endpoints,
    labels,
    createAs: allowMissing ? state : undefined,
    etag: route?.etag ?? '',
  };
}

export function setTrafficPolicyMutation(
  violations: Violations,
  field: string,
  wire: WirePolicy | undefined,
): Mutation {
  const key = checkedPolicyKey(violations, `${field}.key`, wire?.key);
  const value = policyValueFromWire(wire);
  validateTrafficPolicyValue(violations, field, value);
  return { kind: 'set_traffic_policy', key, value, etag: wire?.etag ?? '' };
}

/** One write of a batch. */
export function batchMutation(violations: Violations, field: string, { write }: RouteWrite): Mutation | undefined {
  switch (write?.$case) {
    case undefined:
      violations.add(field, 'does not say what to do');
      return undefined;
    case 'createRoute':
      return createRouteMutation(violations, `${field}.create_route`, write.value);
    case 'updateRoute':
      return updateRouteMutation(violations, `${field}.update_route.route`, write.value);
    case 'activateRoute':
    case 'deactivateRoute': {
      const [name, state] =
        write.$case === 'activateRoute'
          ? (['activate_route', 'ACTIVE'] as const)
          : (['deactivate_route', 'INACTIVE'] as const);
      return {
        kind: 'set_route_state',
        key: checkedRouteKey(violations, `${field}.${name}.key`, write.value.key),
        state,
        etag: write.value.etag,
      };
    }
    case 'deleteRoute':
    case 'undeleteRoute': {
      const kind = write.$case === 'deleteRoute' ? 'delete_route' : 'undelete_route';
      return {
        kind,
        key: checkedRouteKey(violations, `${field}.${kind}.key`, write.value.key),
        etag: write.value.etag,
      };
    }
    case 'setTrafficPolicy':
      return setTrafficPolicyMutation(violations, `${field}.set_traffic_policy`, write.value);
    case 'deleteTrafficPolicy': {
      const key = checkedPolicyKey(violations, `${field}.delete_traffic_policy.key`, write.value.key);
      return { kind: 'delete_traffic_policy', key, etag: write.value.etag };
    }
  }
}

export function checkedRouteKey(violations: Violations, field: string, wire: WireRouteKey | undefined): RouteKey {
  const key = routeKeyFromWire(wire);
  if (wire === undefined) violations.add(field, 'is required');
  else validateRouteKey(violations, field, key);
  return key;
}

export function checkedPolicyKey(
  violations: Violations,
  field: string,
  wire: WirePolicyKey | undefined,
): TrafficPolicyKey {
  const key = policyKeyFromWire(wire);
  if (wire === undefined) violations.add(field, 'is required');
  else validateTrafficPolicyKey(violations, field, key);
  return key;
}

const validEndpoint = { url: 'grpc://unused', weight: 1, zone: '', priority: 0, labels: {} };

function routeValue(route: WireRoute | undefined, state: LiveState): RouteValue {
  return {
    endpoints: (route?.endpoints ?? []).map(endpointFromWire),
    labels: sorted(route?.labels ?? {}),
    lifecycle: { state },
  };
}

function initialState(violations: Violations, field: string, wire: RouteState | undefined): LiveState {
  if (wire === undefined || wire === RouteState.ROUTE_STATE_UNSPECIFIED) return 'ACTIVE';
  const state = stateFromWire(wire);
  if (state === 'ACTIVE' || state === 'INACTIVE') return state;
  violations.add(field, 'must be ACTIVE (default) or INACTIVE when a route is created');
  return 'ACTIVE';
}
