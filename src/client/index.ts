/**
 * The public library: calls to a control plane or a sidecar, their messages, and the one error they throw. What is not exported
 * here is not public.
 */
export { createClient, type TrafficManagerClient } from './create-client.ts';
export { createTransport, type Transport, type TransportOptions } from './transport.ts';
export type { CallOptions } from './call-options.ts';
export type { ChannelKind } from './channel.ts';
export type { TlsSettings } from './tls-settings.ts';
export type { ClientMethod, ServiceClient } from './service-client.ts';
export { message, type Fields, type MessageType } from './message.ts';
export { parseAddress } from './address.ts';
export {
  TrafficManagerError,
  type FieldViolation,
  type StatusCodeName,
  type TrafficManagerErrorFields,
} from './traffic-manager-error.ts';
export { errorFromStatus } from './decode-error.ts';

export {
  Change,
  ChangeAction,
  RouteChange,
  TenantChange,
  TrafficPolicyChange,
} from '../gen/trafficmanager/v1/change.ts';
export { ChangeOrder } from '../gen/trafficmanager/v1/change_service.ts';
export {
  ChangeStreamConnection,
  type ChangeStream,
  type ChangeStreamCounters,
  type ReconcileReport,
} from '../gen/trafficmanager/v1/change_stream_service.ts';
export {
  Consistency,
  Freshness,
  FreshnessSource,
  ResolveRequest,
  SelectionReason,
} from '../gen/trafficmanager/v1/resolver_service.ts';
export type { ResolveResponse, ResolveResult } from '../gen/trafficmanager/v1/resolver_service.ts';
export { Endpoint, Route, RouteKey, RouteState } from '../gen/trafficmanager/v1/route.ts';
export { CircuitBreakerState, SynchronizationState } from '../gen/trafficmanager/v1/sidecar_service.ts';
export { Tenant, TenantQuotas, TenantState } from '../gen/trafficmanager/v1/tenant.ts';
export {
  AttributeMatch,
  CircuitBreakerPolicy,
  FaultInjection,
  LoadBalancing,
  LocalityPreference,
  MatchRule,
  Mirroring,
  OutlierEjection,
  RetryPolicy,
  TrafficPolicy,
  TrafficPolicyKey,
  WeightedVersion,
} from '../gen/trafficmanager/v1/traffic_policy.ts';
export type { WatchResponse } from '../gen/trafficmanager/v1/watch_service.ts';
