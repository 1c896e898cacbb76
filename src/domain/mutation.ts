import type { ChangeAction, ChangeSubject } from './change.ts';
import { DomainError } from './domain-error.ts';
import type { Endpoint } from './endpoint.ts';
import {
  canonicalRouteValue,
  etagOf,
  routeName,
  type LiveState,
  type Provenance,
  type Route,
  type RouteKey,
  type RouteValue,
} from './route.ts';
import type { TenantView } from './tenant-view.ts';
import type { TenantValue } from './tenant.ts';
import {
  canonicalTrafficPolicyValue,
  trafficPolicyName,
  type TrafficPolicy,
  type TrafficPolicyKey,
  type TrafficPolicyValue,
} from './traffic-policy.ts';

/** What a caller wants changed. `etag` '' : whatever is there. Values have been validated. */
export type Mutation =
  | { readonly kind: 'create_tenant'; readonly tenant: string; readonly value: TenantValue }
  | { readonly kind: 'create_route'; readonly key: RouteKey; readonly value: RouteValue }
  | {
      readonly kind: 'update_route';
      readonly key: RouteKey;
      /** Undefined: left as it is. */
      readonly endpoints: readonly Endpoint[] | undefined;
      /** Undefined: left as it is. */
      readonly labels: Readonly<Record<string, string>> | undefined;
      /** The state to create the route in where there is none; undefined: it must exist. */
      readonly createAs: LiveState | undefined;
      readonly etag: string;
    }
  | { readonly kind: 'set_route_state'; readonly key: RouteKey; readonly state: LiveState; readonly etag: string }
  | { readonly kind: 'delete_route'; readonly key: RouteKey; readonly etag: string }
  | { readonly kind: 'undelete_route'; readonly key: RouteKey; readonly etag: string }
  | {
      readonly kind: 'set_traffic_policy';
      readonly key: TrafficPolicyKey;
      readonly value: TrafficPolicyValue;
      readonly etag: string;
    };

/** The change that a mutation asks for. */
export type Intent = { readonly action: ChangeAction; readonly subject: ChangeSubject };

/** What a mutation comes to: a change, or the resource as it already is. */
export type Evaluation =
  | { readonly kind: 'change'; readonly intent: Intent }
  | { readonly kind: 'unchanged'; readonly subject: ChangeSubject };

/** What the change will carry, but for its time, which the database gives at commit. */
export type Authorship = { readonly revision: number; readonly actor: string };

/**
 * Decides what a mutation does to a tenant. Pure: the whole contract of the writes is here, in the order of the RPCs'
 * comments in the proto. Throws a DomainError when it is refused.
 */
export function evaluate(view: TenantView, mutation: Mutation, author: Authorship): Evaluation {
  switch (mutation.kind) {
    case 'create_tenant':
      return createTenant(view, mutation);
    case 'create_route':
      return createRoute(view, mutation, author);
    case 'update_route':
      return updateRoute(view, mutation, author);
    case 'set_route_state':
      return setRouteState(view, mutation, author);
    case 'delete_route':
      return deleteRoute(view, mutation, author);
    case 'undelete_route':
      return undeleteRoute(view, mutation, author);
    case 'set_traffic_policy':
      return setTrafficPolicy(view, mutation, author);
  }
}

type Of<Kind extends Mutation['kind']> = Extract<Mutation, { kind: Kind }>;

function createTenant(view: TenantView, { tenant, value }: Of<'create_tenant'>): Evaluation {
  const before = view.tenant;
  if (before === undefined) {
    const after = { tenant, displayName: value.displayName, revision: 1, createTimeMs: 0 };
    return { kind: 'change', intent: { action: 'CREATED', subject: { kind: 'tenant', before, after } } };
  }
  if (before.displayName === value.displayName)
    return { kind: 'unchanged', subject: { kind: 'tenant', before, after: before } };
  throw new DomainError('ALREADY_EXISTS', `tenant ${tenant} exists and differs`, {
    metadata: { tenant },
    resource: { type: 'Tenant', name: tenant, tenant },
  });
}

function createRoute(view: TenantView, { key, value }: Of<'create_route'>, author: Authorship): Evaluation {
  const before = findRoute(view, key);
  if (before === undefined || before.lifecycle.state === 'DELETED')
    return routeChange('CREATED', { before, key, value, createTimeMs: 0, author });
  if (canonicalRouteValue(before) === canonicalRouteValue(value)) return unchangedRoute(before);
  throw new DomainError('ALREADY_EXISTS', `route ${routeName(key)} exists and differs`, {
    metadata: { route: routeName(key) },
    resource: { type: 'Route', name: routeName(key), tenant: key.tenant },
  });
}

function updateRoute(view: TenantView, mutation: Of<'update_route'>, author: Authorship): Evaluation {
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

function setRouteState(view: TenantView, { key, state, etag }: Of<'set_route_state'>, author: Authorship): Evaluation {
  const route = liveRoute(findRoute(view, key), key, etag);
  return changeRoute(
    state === 'ACTIVE' ? 'ACTIVATED' : 'DEACTIVATED',
    route,
    { ...route, lifecycle: { state } },
    author,
  );
}

function deleteRoute(view: TenantView, { key, etag }: Of<'delete_route'>, author: Authorship): Evaluation {
  const route = existingRoute(findRoute(view, key), key, etag);
  if (route.lifecycle.state === 'DELETED') return unchangedRoute(route);
  return changeRoute(
    'DELETED',
    route,
    { ...route, lifecycle: { state: 'DELETED', deletedFrom: route.lifecycle.state } },
    author,
  );
}

function undeleteRoute(view: TenantView, { key, etag }: Of<'undelete_route'>, author: Authorship): Evaluation {
  const route = existingRoute(findRoute(view, key), key, etag);
  if (route.lifecycle.state !== 'DELETED') return unchangedRoute(route);
  return changeRoute('UNDELETED', route, { ...route, lifecycle: { state: route.lifecycle.deletedFrom } }, author);
}

function setTrafficPolicy(
  view: TenantView,
  { key, value, etag }: Of<'set_traffic_policy'>,
  author: Authorship,
): Evaluation {
  const before = view.find(key.service, key.environment)?.policy;
  checkEtag(trafficPolicyName(key), { wanted: etag, found: before?.etag ?? '' });
  const canonical = canonicalTrafficPolicyValue(value);
  if (before !== undefined && canonicalTrafficPolicyValue(before) === canonical) {
    return { kind: 'unchanged', subject: { kind: 'traffic_policy', key, before, after: before } };
  }
  const after: TrafficPolicy = {
    key,
    defaultVersion: value.defaultVersion,
    split: value.split,
    ...provenance(etagOf(canonical, author.revision), before?.createTimeMs ?? 0, author),
  };
  const action = before === undefined ? 'CREATED' : 'UPDATED';
  return { kind: 'change', intent: { action, subject: { kind: 'traffic_policy', key, before, after } } };
}

function findRoute(view: TenantView, key: RouteKey): Route | undefined {
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

function checkEtag(name: string, { wanted, found }: { wanted: string; found: string }): void {
  if (wanted === '' || wanted === found) return;
  throw new DomainError('ETAG_MISMATCH', `${name} has changed since: its etag is ${found || '(none)'}, not ${wanted}`, {
    metadata: { name, etag: wanted, current_etag: found },
  });
}

function provenance(etag: string, createTimeMs: number, author: Authorship): Provenance {
  return { revision: author.revision, etag, createTimeMs, updateTimeMs: 0, updatedBy: author.actor };
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
