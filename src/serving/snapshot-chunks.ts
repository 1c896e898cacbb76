import type { Route } from '../domain/route.ts';
import type { ServiceEnvironment } from '../domain/tenant-view.ts';
import type { TrafficPolicy } from '../domain/traffic-policy.ts';
import type { SnapshotChunk } from '../gen/trafficmanager/v1/watch_service.ts';
import { routeToWire } from '../wire/route-wire.ts';
import { policyToWire } from '../wire/traffic-policy-wire.ts';
import { policyBytesAtMost, routeBytesAtMost } from './message-size.ts';
import type { WatchScope } from './watch-scope.ts';

/**
 * A configuration in chunks of about `chunkBytes`, the last one marked; one empty last chunk when there is nothing. What is
 * in it is decided now; the encoding happens as the chunks are taken.
 */
export function snapshotChunks(
  all: Iterable<ServiceEnvironment>,
  scope: WatchScope,
  chunkBytes: number,
): Iterable<SnapshotChunk> {
  const routes: Route[] = [];
  const policies: TrafficPolicy[] = [];
  for (const group of all) {
    if (group.policy !== undefined && scope.includes(group.policy.key.service, group.policy.key.environment))
      policies.push(group.policy);
    for (const route of group.routes.values()) {
      if (route.lifecycle.state !== 'DELETED' && scope.includes(route.key.service, route.key.environment))
        routes.push(route);
    }
  }
  return chunksOf(routes, policies, chunkBytes);
}

function* chunksOf(
  routes: readonly Route[],
  policies: readonly TrafficPolicy[],
  chunkBytes: number,
): Generator<SnapshotChunk> {
  let chunk: SnapshotChunk = { routes: [], trafficPolicies: [], last: false };
  let bytes = 0;
  for (const policy of policies) {
    chunk.trafficPolicies.push(policyToWire(policy));
    bytes += policyBytesAtMost(policy);
    if (bytes >= chunkBytes) {
      yield chunk;
      chunk = { routes: [], trafficPolicies: [], last: false };
      bytes = 0;
    }
  }
  for (const route of routes) {
    chunk.routes.push(routeToWire(route));
    bytes += routeBytesAtMost(route);
    if (bytes >= chunkBytes) {
      yield chunk;
      chunk = { routes: [], trafficPolicies: [], last: false };
      bytes = 0;
    }
  }
  yield { ...chunk, last: true };
}
