import type { Change } from '../../src/domain/change.ts';
import type { Route } from '../../src/domain/route.ts';
import type { ServiceEnvironment } from '../../src/domain/tenant-view.ts';
import type { TrafficPolicy } from '../../src/domain/traffic-policy.ts';
import { bytesOfPolicy } from './policy-bytes.ts';

/** One service in one environment as held in memory: replaced, never changed, so that a reader keeps one moment. */
export type Group = ServiceEnvironment & {
  /** The revision that it is known at: older changes are in it already. */
  readonly asOf: number;
  /** About how much memory it takes. */
  readonly bytes: number;
};

/**
 * What the objects around the texts cost, bytes, rounded up from heaps measured with 300 to 20,000 routes. Texts count
 * twice: as strings, and in the answer that is encoded once and kept.
 */
const groupBytes = 300;
const routeBytes = 700;
const endpointBytes = 250;
const labelBytes = 32;
const textFactor = 2;

/** Routes are replaced, never changed, so each is weighed once: a change of one must not cost a walk over its siblings' labels. */
const weighed = new WeakMap<Route, number>();

/** Builds a group. Deleted routes are left out: here a route is either in it or not. */
export function createGroup(routes: Iterable<Route>, policy: TrafficPolicy | undefined, asOf: number): Group {
  const byVersion = new Map<string, Route>();
  let bytes = groupBytes + (policy === undefined ? 0 : bytesOfPolicy(policy));
  for (const route of routes) {
    byVersion.set(route.key.version, route);
    bytes += bytesOf(route);
  }
  return { routes: byVersion, policy, asOf, bytes };
}

function bytesOf(route: Route): number {
  let bytes = weighed.get(route);
  if (bytes === undefined) {
    bytes = routeBytes + bytesOfLabels(route.labels);
    for (const { url, zone, labels } of route.endpoints) {
      bytes += endpointBytes + textFactor * (url.length + zone.length) + bytesOfLabels(labels);
    }
    weighed.set(route, bytes);
  }
  return bytes;
}

function bytesOfLabels(labels: Readonly<Record<string, string>>): number {
  let bytes = 0;
  for (const [key, value] of Object.entries(labels)) bytes += labelBytes + textFactor * (key.length + value.length);
  return bytes;
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
