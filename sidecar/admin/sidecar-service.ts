import {
  CircuitBreakerState,
  SynchronizationState,
  type GetStatusResponse,
  type SidecarServiceService,
  type TenantStatus,
} from '../../src/gen/trafficmanager/v1/sidecar_service.ts';
import type { Handlers } from '../../src/platform/grpc/handlers.ts';
import type { Clock } from '../../src/platform/clock.ts';
import type { SidecarConfig } from '../config.ts';
import type { BreakerState } from '../guard/circuit-breaker.ts';
import type { LookupAdmission } from '../guard/lookup-admission.ts';
import type { RememberedAnswers } from '../lookup/remembered-answers.ts';
import type { SnapshotMemory } from '../snapshot/snapshot-memory.ts';
import type { Subscriptions } from '../sync/subscriptions.ts';
import type { SyncState } from '../sync/sync-state.ts';
import type { TenantSync } from '../sync/tenant-sync.ts';

/** What the state of a sidecar is read from. */
export type SidecarParts = {
  readonly config: Pick<SidecarConfig, 'scope' | 'source' | 'memoryBytesMax'>;
  readonly subscriptions: Subscriptions;
  readonly memory: SnapshotMemory;
  readonly remembered: RememberedAnswers;
  readonly admission: LookupAdmission;
  /** By upstream. */
  readonly breakers: ReadonlyMap<string, BreakerState>;
  readonly clock: Clock;
  readonly residentBytes: () => number;
};

/** SidecarService: the state of the parts as it is when it is asked for. */
export function sidecarHandlers(parts: SidecarParts): Handlers<typeof SidecarServiceService> {
  const startedAtMs = parts.clock.monotonicMs();
  return {
    getStatus: ({ tenant }) =>
      Promise.resolve({ ...statusOf(parts, tenant), uptimeMs: whole(parts.clock.monotonicMs() - startedAtMs) }),
  };
}

function statusOf(parts: SidecarParts, tenant: string): Omit<GetStatusResponse, 'uptimeMs'> {
  const { config, subscriptions, memory, remembered, admission, breakers } = parts;
  const { groups, slabBytes, evictions } = memory.figures;
  const { hits, negativeHits, misses, shared, refreshes, staleHits } = remembered.counts;
  const tenants = Array.from(subscriptions.all()).filter((sync) => tenant === '' || sync.tenant === tenant);
  return {
    scope: {
      tenants: [...config.scope.tenants],
      onDemand: config.scope.onDemand,
      services: [...(config.scope.services ?? [])],
    },
    sourceUrl: withoutCredentials(config.source),
    tenants: tenants.map(tenantStatus),
    memory: {
      bytes: whole(memory.bytes),
      bytesMax: whole(config.memoryBytesMax),
      groups: whole(groups),
      slabBytes: whole(slabBytes),
      evictions: whole(evictions),
      residentBytes: whole(parts.residentBytes()),
    },
    answers: {
      count: whole(remembered.size),
      hits: whole(hits),
      negativeHits: whole(negativeHits),
      misses: whole(misses),
      shared: whole(shared),
      refreshes: whole(refreshes),
      staleHits: whole(staleHits),
    },
    circuitBreakers: Array.from(breakers, ([upstream, state]) => ({ upstream, breakerState: breakerStates[state] })),
    admission: { waiting: whole(admission.waiting), shed: whole(admission.shed) },
  };
}

const breakerStates = {
  closed: CircuitBreakerState.CIRCUIT_BREAKER_STATE_CLOSED,
  open: CircuitBreakerState.CIRCUIT_BREAKER_STATE_OPEN,
  half_open: CircuitBreakerState.CIRCUIT_BREAKER_STATE_HALF_OPEN,
} as const satisfies Record<BreakerState, CircuitBreakerState>;

const syncStates = {
  booting: SynchronizationState.SYNCHRONIZATION_STATE_BOOTING,
  live: SynchronizationState.SYNCHRONIZATION_STATE_LIVE,
  stale: SynchronizationState.SYNCHRONIZATION_STATE_STALE,
  absent: SynchronizationState.SYNCHRONIZATION_STATE_ABSENT,
} as const satisfies Record<SyncState['kind'], SynchronizationState>;

function tenantStatus(sync: TenantSync): TenantStatus {
  const { tenant, state, memory } = sync;
  return {
    tenant,
    synchronizationState: syncStates[state.kind],
    reason: state.kind === 'stale' ? state.reason : '',
    revision: whole(memory.position.revision),
    // Upwards, as in answers: never less than it is.
    stalenessMs: whole(Math.ceil(sync.stalenessMs())),
    complete: memory.isComplete,
    groups: whole(memory.size),
  };
}

function whole(count: number): bigint {
  return BigInt(Math.floor(count));
}

function withoutCredentials(source: string): string {
  const url = new URL(source);
  return `${url.protocol}//${url.host}`;
}
