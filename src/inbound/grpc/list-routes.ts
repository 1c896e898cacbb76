import type { Lifecycle, RouteKey } from '../../domain/route.ts';
import { tenantNotFound } from '../../domain/transaction.ts';
import { Violations } from '../../domain/validation.ts';
import { RouteState } from '../../gen/trafficmanager/v1/route.ts';
import type { ListRoutesRequest, ListRoutesResponse } from '../../gen/trafficmanager/v1/route_service.ts';
import type { ConfigurationStore, RouteFilter } from '../../ports/configuration-store.ts';
import { routeToWire, stateFromWire } from '../../wire/route-wire.ts';
import { decodePageToken, encodePageToken, pageSize } from './page-token.ts';

/** ListRoutes: one read a page, from the primary key. */
export function createListRoutes(
  store: ConfigurationStore,
): (request: ListRoutesRequest) => Promise<ListRoutesResponse> {
  return async (request) => {
    const violations = new Violations();
    violations.name('tenant', request.tenant);
    if (request.service !== '') violations.name('service', request.service);
    if (request.environment !== '') violations.name('environment', request.environment);
    const { tenant, service, environment } = request;
    const filter: RouteFilter = { tenant, service, environment, states: wantedStates(violations, request) };
    const size = pageSize(violations, request.pageSize);
    const question = [filter];
    const token = decodePageToken(violations, request.pageToken, { question, parts: 3 });
    violations.assertNone();

    const found = await store.listRoutes(filter, token && keyOf(token), size + 1);
    if (found === undefined) throw tenantNotFound(tenant);
    const routes = found.routes.slice(0, size);
    const last = routes.at(-1)?.key;
    const more = found.routes.length > size && last !== undefined;
    return {
      routes: routes.map(routeToWire),
      nextPageToken: more ? encodePageToken(question, [last.service, last.environment, last.version]) : '',
      revision: BigInt(found.revision),
    };
  };
}

function keyOf([service = '', environment = '', version = '']: readonly string[]): Omit<RouteKey, 'tenant'> {
  return { service, environment, version };
}

function wantedStates(violations: Violations, request: ListRoutesRequest): Lifecycle['state'][] {
  if (request.state === RouteState.ROUTE_STATE_UNSPECIFIED)
    return request.showDeleted ? ['ACTIVE', 'INACTIVE', 'DELETED'] : ['ACTIVE', 'INACTIVE'];
  const state = stateFromWire(request.state);
  if (state === undefined) violations.add('state', 'is not a state that a route can have');
  return state === undefined ? [] : [state];
}
