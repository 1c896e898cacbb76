import { ChangeServiceService } from '../gen/trafficmanager/v1/change_service.ts';
import { ChangeStreamServiceService } from '../gen/trafficmanager/v1/change_stream_service.ts';
import { ResolverServiceService } from '../gen/trafficmanager/v1/resolver_service.ts';
import { RouteServiceService } from '../gen/trafficmanager/v1/route_service.ts';
import { TenantServiceService } from '../gen/trafficmanager/v1/tenant_service.ts';
import { TrafficPolicyServiceService } from '../gen/trafficmanager/v1/traffic_policy_service.ts';
import { UsageServiceService } from '../gen/trafficmanager/v1/usage_service.ts';
import { WatchServiceService } from '../gen/trafficmanager/v1/watch_service.ts';
import { createServiceClient, type ServiceClient } from './service-client.ts';
import { createTransport, type Transport, type TransportOptions } from './transport.ts';

/** Everything that a control plane serves; a sidecar serves `resolver` and `watch`. */
export interface TrafficManagerClient extends Disposable {
  /** Reading and changing routes. */
  readonly routes: ServiceClient<RouteServiceService>;
  /** Reading and changing traffic policies. */
  readonly policies: ServiceClient<TrafficPolicyServiceService>;
  /** Reading and creating tenants. */
  readonly tenants: ServiceClient<TenantServiceService>;
  /** The change log. */
  readonly changes: ServiceClient<ChangeServiceService>;
  /** How the change streams stand. */
  readonly changeStreams: ServiceClient<ChangeStreamServiceService>;
  /** Which versions are looked up. */
  readonly usage: ServiceClient<UsageServiceService>;
  /** Lookups. */
  readonly resolver: ServiceClient<ResolverServiceService>;
  /**
   * Watches one tenant: `for await (const message of client.watch({ tenant }))`. Leaving the loop ends the watch; a slow loop
   * holds back the server, which cuts off a watcher that is too slow (RESOURCE_EXHAUSTED, WATCHER_TOO_SLOW). Does not
   * resume by itself: watch again with the `revision` and `commit_id` of the last message as `afterRevision` and
   * `afterCommitId` (of a snapshot chunk only when it is the last).
   */
  readonly watch: ServiceClient<WatchServiceService>['watch'];
  /** The connection itself, for methods that this library has no types for. */
  readonly transport: Transport;
  /** Takes no more calls; those under way finish. The same as leaving the scope of `using client = createClient(…)`. */
  close(): void;
}

/**
 * A client of a control plane or of a sidecar. Share one: it holds one connection, made when it is first needed.
 *
 * ```ts
 * using client = createClient({ address: '127.0.0.1:7401' });
 * const { route } = await client.resolver.resolve({ key: { tenant: 'acme', service: 'cart', environment: 'production', version: '' } });
 * ```
 *
 * @throws TrafficManagerError INVALID_ARGUMENT when the address is none; nothing else fails before the first call.
 */
export function createClient(options: TransportOptions): TrafficManagerClient {
  const transport = createTransport(options);
  return {
    routes: createServiceClient(transport, RouteServiceService),
    policies: createServiceClient(transport, TrafficPolicyServiceService),
    tenants: createServiceClient(transport, TenantServiceService),
    changes: createServiceClient(transport, ChangeServiceService),
    changeStreams: createServiceClient(transport, ChangeStreamServiceService),
    usage: createServiceClient(transport, UsageServiceService),
    resolver: createServiceClient(transport, ResolverServiceService),
    watch: createServiceClient(transport, WatchServiceService).watch,
    transport,
    close: () => transport.close(),
    [Symbol.dispose]: () => transport.close(),
  };
}
