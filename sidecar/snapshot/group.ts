import type { Change } from '../../src/domain/change.ts';
import type { Route } from '../../src/domain/route.ts';
import type { ServiceEnvironment } from '../../src/domain/tenant-view.ts';
import type { TrafficPolicy } from '../../src/domain/traffic-policy.ts';

/** One service in one environment as held in memory: replaced, never changed, so that a reader keeps one moment. */
export type Group = ServiceEnvironment & {
  /** The revision that it is known at: older changes are in it already. */
  readonly asOf: number;
  /** About how much memory it takes. */
  readonly bytes: number;
};

/** What the maps, keys and objects around the encoded bytes cost, measured roughly. */
const groupBytes = 300;
const routeBytes = 600;
const endpointBytes = 350;

/** Builds a group. Deleted routes are left out: here a route is either in it or not. */
export function createGroup(routes: Iterable<Route>, policy: TrafficPolicy | undefined, asOf: number): Group {
  const byVersion = new Map<string, Route>();
  let bytes = groupBytes;
  for (const route of routes) {
    byVersion.set(route.key.version, route);
    bytes += routeBytes + route.endpoints.length * endpointBytes;
  }
  return { routes: byVersion, policy, asOf, bytes };
}

/** The group after a change of a route or a policy in it. An older change than the group knows leaves it as it is. */
export function changeGroup(group: Group | undefined, change: Change): Group | undefined {
  const { subject, revision } = change;
  if (subject.kind === 'tenant' || (group !== undefined && revision <= group.asOf)) return group;
  const routes = new Map(group?.routes);
  if (subject.kind === 'traffic_policy') return createGroup(routes.values(), subject.after, revision);
  if (subject.after.lifecycle.state === 'DELETED') routes.delete(subject.after.key.version);
  else routes.set(subject.after.key.version, subject.after);
  return createGroup(routes.values(), group?.policy, revision);
}
