import type { WriteResult } from '../../app/write-request.ts';
import { DomainError } from '../../domain/domain-error.ts';
import { routeName, type LiveState } from '../../domain/route.ts';
import { Violations } from '../../domain/validation.ts';
import type { RouteKey as WireRouteKey } from '../../gen/trafficmanager/v1/route.ts';
import type { RouteServiceService } from '../../gen/trafficmanager/v1/route_service.ts';
import type { CallContext, Handlers } from '../../platform/grpc/handlers.ts';
import type { ChangeHistory } from '../../ports/change-history.ts';
import type { ConfigurationStore } from '../../ports/configuration-store.ts';
import { routeToWire } from '../../wire/route-wire.ts';
import { createBatchWrite } from './batch-write.ts';
import { createListRoutes } from './list-routes.ts';
import { rollbackRouteCall, rollbackTenantCall } from './rollback-routes.ts';
import { checkedRouteKey, createRouteMutation, updateRouteMutation } from './route-mutations.ts';
import { assertTenantInUse } from './tenant-in-use.ts';
import { singleOutcome, validateRequestId, type FirstReply, type Write } from './write-call.ts';

export type RouteHandlersOptions = {
  readonly write: Write;
  readonly firstReply: FirstReply;
  readonly store: ConfigurationStore;
  readonly history: ChangeHistory;
};

/** RouteService over the writer, the store and the history. */
export function routeHandlers(options: RouteHandlersOptions): Handlers<typeof RouteServiceService> {
  const { write, store, history } = options;
  return {
    createRoute: async ({ route, requestId, validateOnly }, context) => {
      const violations = new Violations();
      const mutation = createRouteMutation(violations, 'route', route);
      validateRequestId(violations, requestId);
      violations.assertNone();
      return routeReply(
        await write({ tenant: route?.key?.tenant ?? '', mutations: [mutation], requestId, validateOnly }, context),
      );
    },

    getRoute: async (request) => {
      const violations = new Violations();
      const key = checkedRouteKey(violations, 'key', request.key);
      violations.assertNone();
      const route = await store.getRoute(key);
      if (route !== undefined) return { route: routeToWire(route) };
      await assertTenantInUse(store, key.tenant);
      throw new DomainError('ROUTE_NOT_FOUND', `there is no route ${routeName(key)}`, {
        metadata: { route: routeName(key) },
        resource: { type: 'Route', name: routeName(key), tenant: key.tenant },
      });
    },

    listRoutes: createListRoutes(store, history),

    updateRoute: async (request, context) => {
      const violations = new Violations();
      const mutation = updateRouteMutation(violations, 'route', request);
      const { route, requestId, validateOnly } = request;
      validateRequestId(violations, requestId);
      violations.assertNone();
      return routeReply(
        await write({ tenant: route?.key?.tenant ?? '', mutations: [mutation], requestId, validateOnly }, context),
      );
    },

    activateRoute: async (request, context) =>
      routeReply(await setState(write, { ...request, state: 'ACTIVE' }, context)),
    deactivateRoute: async (request, context) =>
      routeReply(await setState(write, { ...request, state: 'INACTIVE' }, context)),
    deleteRoute: async (request, context) =>
      routeReply(await byKey(write, { ...request, kind: 'delete_route' }, context)),
    undeleteRoute: async (request, context) =>
      routeReply(await byKey(write, { ...request, kind: 'undelete_route' }, context)),
    batchWriteRoutes: createBatchWrite(write),
    rollbackRoute: async (request, context) => routeReply(await rollbackRouteCall(options, request, context)),
    rollbackTenant: (request, context) => rollbackTenantCall(options, request, context),
  };
}

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

function keyCall(request: KeyRequest) {
  const violations = new Violations();
  const key = checkedRouteKey(violations, 'key', request.key);
  validateRequestId(violations, request.requestId);
  violations.assertNone();
  return { key, call: { tenant: key.tenant, requestId: request.requestId, validateOnly: request.validateOnly } };
}

function routeReply(result: WriteResult) {
  const { outcome, revision, change } = singleOutcome(result);
  if (outcome.subject.kind !== 'route') throw new Error('a route mutation with another outcome');
  return { route: routeToWire(outcome.subject.after), revision, change };
}
