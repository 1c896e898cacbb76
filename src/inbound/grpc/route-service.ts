import type { WriteResult } from '../../app/write-request.ts';
import { DomainError } from '../../domain/domain-error.ts';
import { sorted } from '../../domain/digest.ts';
import type { LiveState, RouteKey, RouteValue } from '../../domain/route.ts';
import { routeName, validateRouteKey, validateRouteValue } from '../../domain/route.ts';
import { tenantNotFound } from '../../domain/transaction.ts';
import { Violations } from '../../domain/validation.ts';
import {
  RouteState,
  type Route as WireRoute,
  type RouteKey as WireRouteKey,
} from '../../gen/trafficmanager/v1/route.ts';
import type { RouteServiceService } from '../../gen/trafficmanager/v1/route_service.ts';
import type { CallContext, Handlers } from '../../platform/grpc/handlers.ts';
import type { ConfigurationStore } from '../../ports/configuration-store.ts';
import { endpointFromWire, routeKeyFromWire, routeToWire, stateFromWire } from '../../wire/route-wire.ts';
import { createListRoutes } from './list-routes.ts';
import { singleOutcome, validateRequestId, type Write } from './write-call.ts';

type Maskable = 'endpoints' | 'labels';
const maskable: ReadonlySet<string> = new Set<Maskable>(['endpoints', 'labels']);

/** RouteService over the writer and the store. */
export function routeHandlers({
  write,
  store,
}: {
  write: Write;
  store: ConfigurationStore;
}): Handlers<typeof RouteServiceService> {
  return {
    createRoute: async (request, context) => {
      const violations = new Violations();
      const key = validKey(violations, 'route.key', request.route?.key);
      const value = routeValue(request.route, initialState(violations, request.route?.state));
      validateRouteValue(violations, 'route', value);
      validateRequestId(violations, request.requestId);
      violations.assertNone();
      return routeReply(
        await write({ tenant: key.tenant, mutations: [{ kind: 'create_route', key, value }], ...request }, context),
      );
    },

    getRoute: async (request) => {
      const violations = new Violations();
      const key = validKey(violations, 'key', request.key);
      violations.assertNone();
      const route = await store.getRoute(key);
      if (route !== undefined) return { route: routeToWire(route) };
      if ((await store.head(key.tenant)) === undefined) throw tenantNotFound(key.tenant);
      throw new DomainError('ROUTE_NOT_FOUND', `there is no route ${routeName(key)}`, {
        metadata: { route: routeName(key) },
        resource: { type: 'Route', name: routeName(key), tenant: key.tenant },
      });
    },

    listRoutes: createListRoutes(store),

    updateRoute: async (request, context) => {
      const violations = new Violations();
      const key = validKey(violations, 'route.key', request.route?.key);
      const mask = updateMask(violations, request.updateMask);
      // The state is for a route that this creates; the one of a route that exists is changed by its own methods only.
      const state = request.allowMissing ? initialState(violations, request.route?.state) : 'ACTIVE';
      const value = routeValue(request.route, state);
      const masked = {
        endpoints: mask.has('endpoints') ? value.endpoints : undefined,
        labels: mask.has('labels') ? value.labels : undefined,
      };
      // What the mask leaves out is not looked at: an endpoint that is always valid stands in for it.
      validateRouteValue(violations, 'route', {
        ...value,
        endpoints: masked.endpoints ?? [validEndpoint],
        labels: masked.labels ?? {},
      });
      validateRequestId(violations, request.requestId);
      violations.assertNone();
      const mutation = {
        kind: 'update_route' as const,
        key,
        ...masked,
        createAs: request.allowMissing ? state : undefined,
        etag: request.route?.etag ?? '',
      };
      return routeReply(await write({ tenant: key.tenant, mutations: [mutation], ...request }, context));
    },

    activateRoute: async (request, context) =>
      routeReply(await setState(write, { ...request, state: 'ACTIVE' }, context)),
    deactivateRoute: async (request, context) =>
      routeReply(await setState(write, { ...request, state: 'INACTIVE' }, context)),
    deleteRoute: async (request, context) =>
      routeReply(await byKey(write, { ...request, kind: 'delete_route' }, context)),
    undeleteRoute: async (request, context) =>
      routeReply(await byKey(write, { ...request, kind: 'undelete_route' }, context)),
  };
}

const validEndpoint = { url: 'grpc://unused', weight: 1, zone: '', priority: 0, labels: {} };

type KeyRequest = { key?: WireRouteKey | undefined; etag: string; requestId: string; validateOnly: boolean };

function setState(
  write: Write,
  request: KeyRequest & { state: LiveState },
  context: CallContext,
): Promise<WriteResult> {
  const { key, call } = keyCall(request);
  return write(
    { ...call, mutations: [{ kind: 'set_route_state', key, state: request.state, etag: request.etag }] },
    context,
  );
}

function byKey(
  write: Write,
  request: KeyRequest & { kind: 'delete_route' | 'undelete_route' },
  context: CallContext,
): Promise<WriteResult> {
  const { key, call } = keyCall(request);
  return write({ ...call, mutations: [{ kind: request.kind, key, etag: request.etag }] }, context);
}

function keyCall(request: KeyRequest): {
  key: RouteKey;
  call: { tenant: string; requestId: string; validateOnly: boolean };
} {
  const violations = new Violations();
  const key = validKey(violations, 'key', request.key);
  validateRequestId(violations, request.requestId);
  violations.assertNone();
  return { key, call: { tenant: key.tenant, requestId: request.requestId, validateOnly: request.validateOnly } };
}

function validKey(violations: Violations, field: string, wire: WireRouteKey | undefined): RouteKey {
  const key = routeKeyFromWire(wire);
  if (wire === undefined) violations.add(field, 'is required');
  else validateRouteKey(violations, field, key);
  return key;
}

function routeValue(route: WireRoute | undefined, state: LiveState): RouteValue {
  return {
    endpoints: (route?.endpoints ?? []).map(endpointFromWire),
    labels: sorted(route?.labels ?? {}),
    lifecycle: { state },
  };
}

function initialState(violations: Violations, wire: RouteState | undefined): LiveState {
  if (wire === undefined || wire === RouteState.ROUTE_STATE_UNSPECIFIED) return 'ACTIVE';
  const state = stateFromWire(wire);
  if (state === 'ACTIVE' || state === 'INACTIVE') return state;
  violations.add('route.state', 'must be ACTIVE (default) or INACTIVE when a route is created');
  return 'ACTIVE';
}

function updateMask(violations: Violations, mask: readonly string[] | undefined): ReadonlySet<string> {
  if (mask === undefined || mask.length === 0 || mask.includes('*')) return maskable;
  for (const path of mask) {
    if (!maskable.has(path))
      violations.add('update_mask', `${JSON.stringify(path)} is not one of endpoints, labels, *`);
  }
  return new Set(mask);
}

function routeReply(result: WriteResult) {
  const { outcome, revision, change } = singleOutcome(result);
  if (outcome.subject.kind !== 'route') throw new Error('a route mutation with another outcome');
  return { route: routeToWire(outcome.subject.after), revision, change };
}
