import { revisionOf } from '../../app/history-lookup.ts';
import type { Lifecycle, Route, RouteKey } from '../../domain/route.ts';
import { tenantNotFound } from '../../domain/transaction.ts';
import { Violations } from '../../domain/validation.ts';
import { Route as WireRoute, RouteState } from '../../gen/trafficmanager/v1/route.ts';
import type { ListRoutesRequest } from '../../gen/trafficmanager/v1/route_service.ts';
import type { ChangeHistory } from '../../ports/change-history.ts';
import type { ConfigurationStore, RouteFilter } from '../../ports/configuration-store.ts';
import type { Encoded } from '../../platform/grpc/handlers.ts';
import { atFromWire } from '../../wire/at-wire.ts';
import { encodeFirst, encodePage } from '../../wire/page-wire.ts';
import { routeToWire, stateFromWire } from '../../wire/route-wire.ts';
import { decodePageToken, encodePageToken, pageSize, revisionOfToken } from './page-token.ts';

/** One page, and what the next one begins after. */
type Page = {
  readonly routes: readonly Route[];
  readonly next: Omit<RouteKey, 'tenant'> | undefined;
  readonly revision: number;
};

/** ListRoutes: one read a page, from the primary key; of the past, one more for each 1,000 routes that have changed since. */
export function createListRoutes(
  store: ConfigurationStore,
  history: ChangeHistory,
): (request: ListRoutesRequest) => Promise<Encoded> {
  return async (request) => {
    const violations = new Violations();
    const { tenant, service, environment } = request;
    violations.name('tenant', tenant);
    if (service !== '') violations.name('service', service);
    if (environment !== '') violations.name('environment', environment);
    const filter: RouteFilter = { tenant, service, environment, states: wantedStates(violations, request) };
    const at = atFromWire(violations, request.at);
    const limit = pageSize(violations, request.pageSize);
    const question = at === undefined ? [filter] : [filter, at];
    // The revision that the first page found for its moment holds for all of them.
    const token = decodePageToken(violations, request.pageToken, { question, parts: at === undefined ? 3 : 4 });
    const pinned = at === undefined ? undefined : revisionOfToken(violations, token, 3);
    violations.assertNone();

    const after = token && keyOf(token);
    const page =
      at === undefined
        ? await pageNow(store, filter, { after, limit })
        : await pageAt(history, filter, {
            after,
            limit,
            revision: pinned ?? (await revisionOf(history, tenant, at)),
          });
    const { revision } = page;
    const routes = encodeFirst(page.routes, (route) => WireRoute.encode(routeToWire(route)).finish());
    const next = routes.length < page.routes.length ? page.routes[routes.length - 1]?.key : page.next;
    const place = next && [next.service, next.environment, next.version, ...(at === undefined ? [] : [`${revision}`])];
    return encodePage(routes, {
      nextPageToken: place === undefined ? '' : encodePageToken(question, place),
      revision,
    });
  };
}

type Place = { readonly after: Omit<RouteKey, 'tenant'> | undefined; readonly limit: number };

async function pageNow(store: ConfigurationStore, filter: RouteFilter, { after, limit }: Place): Promise<Page> {
  const found = await store.listRoutes(filter, after, limit + 1);
  if (found === undefined) throw tenantNotFound(filter.tenant);
  const routes = found.routes.slice(0, limit);
  return { routes, next: found.routes.length > limit ? routes.at(-1)?.key : undefined, revision: found.revision };
}

async function pageAt(
  history: ChangeHistory,
  filter: RouteFilter,
  { revision, ...place }: Place & { revision: number },
): Promise<Page> {
  return { ...(await history.routesAt(filter, revision, place)), revision };
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
