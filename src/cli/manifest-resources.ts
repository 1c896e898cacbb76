import { Endpoint, message, Route, RouteState, type TrafficPolicy } from '../client/index.ts';
import type { Manifest, ManifestRoute } from './manifest-schema.ts';
import { policyFromDocument } from './traffic-policy-document.ts';

/** What a manifest describes, as the API takes it. */
export interface ManifestResources {
  /** Without a display name the file leaves it to whoever created the tenant. */
  readonly tenants: readonly { readonly tenant: string; readonly displayName: string | undefined }[];
  readonly routes: readonly Route[];
  readonly policies: readonly TrafficPolicy[];
}

/** The tree of a manifest as flat lists, each in the order of the file. */
export function manifestResources(manifest: Manifest): ManifestResources {
  const environments = manifest.tenants.flatMap(({ tenant, services = [] }) =>
    services.flatMap(({ service, environments: all }) =>
      all.map(({ environment, routes = [], traffic_policy: policy }) => ({
        key: { tenant, service, environment },
        routes,
        policy,
      })),
    ),
  );
  return {
    tenants: manifest.tenants.map(({ tenant, display_name: displayName }) => ({ tenant, displayName })),
    routes: environments.flatMap(({ key, routes }) =>
      routes.map((route) => toRoute({ ...key, version: route.version }, route)),
    ),
    policies: environments.flatMap(({ key, policy }) =>
      policy === undefined ? [] : [policyFromDocument(key, policy)],
    ),
  };
}

function toRoute(key: NonNullable<Route['key']>, route: ManifestRoute): Route {
  return message(Route, {
    key,
    state: route.state === 'INACTIVE' ? RouteState.ROUTE_STATE_INACTIVE : RouteState.ROUTE_STATE_ACTIVE,
    labels: route.labels,
    endpoints: route.endpoints.map((endpoint) => message(Endpoint, endpoint)),
  });
}
