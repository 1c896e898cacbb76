import type { ChangeAction } from './change.ts';
import { DomainError } from './domain-error.ts';
import { checkEtag, provenance, type Authorship, type Evaluation, type MutationOf as Of } from './mutation.ts';
import { canonicalRouteValue, etagOf, routeName, type Route, type RouteKey, type RouteValue } from './route.ts';
import type { WritableView } from './tenant-view.ts';

export function createRoute(view: WritableView, { key, value }: Of<'create_route'>, author: Authorship): Evaluation {
  const before = findRoute(view, key);
  if (before === undefined || before.lifecycle.state === 'DELETED')
    return routeChange('CREATED', { before, key, value, createTimeMs: 0, author });
  if (canonicalRouteValue(before) === canonicalRouteValue(value)) return unchangedRoute(before);
  throw new DomainError('ALREADY_EXISTS', `route ${routeName(key)} exists and differs`, {
    metadata: { route: routeName(key) },
    resource: { type: 'Route', name: routeName(key), tenant: key.tenant },
  });
}

export function updateRoute(view: WritableView, mutation: Of<'update_route'>, author: Authorship): Evaluation {
  const { key, endpoints, labels } = mutation;
  const before = findRoute(view, key);
  if ((before === undefined || before.lifecycle.state === 'DELETED') && mutation.createAs !== undefined) {
    checkEtag(routeName(key), { wanted: mutation.etag, found: before?.etag ?? '' });
    if (endpoints === undefined) throw routeNotFound(key);
    const value: RouteValue = { endpoints, labels: labels ?? {}, lifecycle: { state: mutation.createAs } };
    return routeChange('CREATED', { before, key, value, createTimeMs: 0, author });
  }
  const live = liveRoute(before, key, mutation.etag);
  return changeRoute(
    'UPDATED',
    live,
    { endpoints: endpoints ?? live.endpoints, labels: labels ?? live.labels, lifecycle: live.lifecycle },
    author,
  );
}

export function setRouteState(
  view: WritableView,
  { key, state, etag }: Of<'set_route_state'>,
  author: Authorship,
): Evaluation {
  const route = liveRoute(findRoute(view, key), key, etag);
  return changeRoute(
    state === 'ACTIVE' ? 'ACTIVATED' : 'DEACTIVATED',
    route,
    { ...route, lifecycle: { state } },
    author,
  );
}

export function deleteRoute(view: WritableView, { key, etag }: Of<'delete_route'>, author: Authorship): Evaluation {
  const route = existingRoute(findRoute(view, key), key, etag);
  if (route.lifecycle.state === 'DELETED') return unchangedRoute(route);
  return changeRoute(
    'DELETED',
    route,
    { ...route, lifecycle: { state: 'DELETED', deletedFrom: route.lifecycle.state } },
    author,
  );
}

export function undeleteRoute(view: WritableView, { key, etag }: Of<'undelete_route'>, author: Authorship): Evaluation {
  const route = existingRoute(findRoute(view, key), key, etag);
  if (route.lifecycle.state !== 'DELETED') return unchangedRoute(route);
  return changeRoute('UNDELETED', route, { ...route, lifecycle: { state: route.lifecycle.deletedFrom } }, author);
}

export function restoreRoute(
  view: WritableView,
  { key, value, etag }: Of<'restore_route'>,
  author: Authorship,
): Evaluation {
  const before = findRoute(view, key);
  if (value === undefined || value.lifecycle.state === 'DELETED')
    return deleteRoute(view, { kind: 'delete_route', key, etag }, author);
  checkEtag(routeName(key), { wanted: etag, found: before?.etag ?? '' });
  if (before === undefined) return routeChange('CREATED', { before, key, value, createTimeMs: 0, author });
  return changeRoute(restoringAction(before, value), before, value, author);
}

/** What a restored value does to the route, in the words of the change log. */
function restoringAction(before: Route, value: RouteValue): ChangeAction {
  if (before.lifecycle.state === 'DELETED') return 'UNDELETED';
  const onlyState = canonicalRouteValue({ ...before, lifecycle: value.lifecycle }) === canonicalRouteValue(value);
  if (!onlyState || before.lifecycle.state === value.lifecycle.state) return 'UPDATED';
  return value.lifecycle.state === 'ACTIVE' ? 'ACTIVATED' : 'DEACTIVATED';
}

function findRoute(view: WritableView, key: RouteKey): Route | undefined {
  return view.find(key.service, key.environment)?.routes.get(key.version);
}

function routeNotFound(key: RouteKey): DomainError {
  return new DomainError('ROUTE_NOT_FOUND', `there is no route ${routeName(key)}`, {
    metadata: { route: routeName(key) },
    resource: { type: 'Route', name: routeName(key), tenant: key.tenant },
  });
}

function existingRoute(route: Route | undefined, key: RouteKey, etag: string): Route {
  if (route === undefined) throw routeNotFound(key);
  checkEtag(routeName(key), { wanted: etag, found: route.etag });
  return route;
}

function liveRoute(route: Route | undefined, key: RouteKey, etag: string): Route {
  const existing = existingRoute(route, key, etag);
  if (existing.lifecycle.state !== 'DELETED') return existing;
  throw new DomainError('ROUTE_DELETED', `route ${routeName(key)} is deleted; undelete it first`, {
    metadata: { route: routeName(key) },
    resource: { type: 'Route', name: routeName(key), tenant: key.tenant },
  });
}

function unchangedRoute(route: Route): Evaluation {
  return { kind: 'unchanged', subject: { kind: 'route', before: route, after: route } };
}

/** The change of a route's value, or none when the value is the same. */
function changeRoute(action: ChangeAction, before: Route, value: RouteValue, author: Authorship): Evaluation {
  if (canonicalRouteValue(before) === canonicalRouteValue(value)) return unchangedRoute(before);
  return routeChange(action, { before, key: before.key, value, createTimeMs: before.createTimeMs, author });
}

type RouteChangeOptions = {
  readonly before: Route | undefined;
  readonly key: RouteKey;
  readonly value: RouteValue;
  /** 0: the time of the commit. */
  readonly createTimeMs: number;
  readonly author: Authorship;
};

function routeChange(
  action: ChangeAction,
  { before, key, value, createTimeMs, author }: RouteChangeOptions,
): Evaluation {
  const after: Route = {
    key,
    endpoints: value.endpoints,
    labels: value.labels,
    lifecycle: value.lifecycle,
    ...provenance(etagOf(canonicalRouteValue(value), author.revision), createTimeMs, author),
  };
  return { kind: 'change', intent: { action, subject: { kind: 'route', before, after } } };
}
