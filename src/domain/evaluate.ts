import type { WritableView } from './tenant-view.ts';
import type { Authorship, Evaluation, Mutation } from './mutation.ts';
import * as routes from './mutate-route.ts';
import * as tenants from './mutate-tenant.ts';
import * as policies from './mutate-traffic-policy.ts';

/**
 * Decides what a mutation does to a tenant. Pure: the whole contract of the writes is here and in the three files it calls, in the
 * order of the RPCs' comments in the proto. Throws a DomainError when it is refused.
 */
export function evaluate(view: WritableView, mutation: Mutation, author: Authorship): Evaluation {
  switch (mutation.kind) {
    case 'create_tenant':
      return tenants.createTenant(view, mutation, author);
    case 'update_tenant':
      return tenants.updateTenant(view, mutation, author);
    case 'delete_tenant':
      return tenants.setTenantState(view, { ...mutation, state: 'DELETED' }, author);
    case 'undelete_tenant':
      return tenants.setTenantState(view, { ...mutation, state: 'ACTIVE' }, author);
    case 'create_route':
      return routes.createRoute(view, mutation, author);
    case 'update_route':
      return routes.updateRoute(view, mutation, author);
    case 'set_route_state':
      return routes.setRouteState(view, mutation, author);
    case 'delete_route':
      return routes.deleteRoute(view, mutation, author);
    case 'undelete_route':
      return routes.undeleteRoute(view, mutation, author);
    case 'restore_route':
      return routes.restoreRoute(view, mutation, author);
    case 'set_traffic_policy':
      return policies.setTrafficPolicy(view, mutation, author);
    case 'delete_traffic_policy':
      return policies.deleteTrafficPolicy(view, mutation, author);
    case 'restore_traffic_policy':
      return policies.restoreTrafficPolicy(view, mutation, author);
  }
}
