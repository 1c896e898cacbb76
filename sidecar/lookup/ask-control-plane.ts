import type { TrafficManagerClient } from '../../src/client/create-client.ts';
import { TrafficManagerError } from '../../src/client/traffic-manager-error.ts';
import { DomainError } from '../../src/domain/domain-error.ts';
import type { Consistency, Freshness } from '../../src/domain/freshness.ts';
import type { Lookup, Resolution, SelectionReason as Reason } from '../../src/domain/resolve.ts';
import {
  SelectionReason,
  type Consistency as WireConsistency,
  type ResolveResponse,
} from '../../src/gen/trafficmanager/v1/resolver_service.ts';
import type { Clock } from '../../src/platform/clock.ts';
import type { CallContext } from '../../src/platform/grpc/handlers.ts';
import type { Logger } from '../../src/platform/logger.ts';
import { routeFromWire } from '../../src/wire/route-wire.ts';
import { reasonFromName } from '../../src/wire/status.ts';
import { policyFromWire } from '../../src/wire/traffic-policy-wire.ts';
import { guardWithCircuitBreaker, RefusedError } from '../guard/circuit-breaker.ts';
import { controlPlaneGuard } from '../limits.ts';

/** Asks the control plane one lookup; rejects with a DomainError. */
export type AskControlPlane = (
  lookup: Lookup,
  consistency: Consistency,
  context: CallContext,
) => Promise<{ resolution: Resolution; freshness: Freshness }>;

export type AskControlPlaneOptions = {
  readonly client: Pick<TrafficManagerClient, 'resolver'>;
  readonly clock: Clock;
  readonly logger: Logger;
};

/** Statuses that say something about the control plane itself; all others are its answers. */
const failures: ReadonlySet<string> = new Set(['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'INTERNAL', 'UNKNOWN']);

/** Lookups passed on to the control plane, behind a circuit breaker and a bound on how many are under way. */
export function createAskControlPlane({ client, clock, logger }: AskControlPlaneOptions): AskControlPlane {
  const guarded = guardWithCircuitBreaker(
    (lookup: Lookup, consistency: Consistency, context: CallContext) => {
      const { tenant, service, environment, version, hashKey } = lookup;
      const remainingMs =
        context.deadlineMs === undefined ? controlPlaneGuard.timeoutMs : context.deadlineMs - clock.wallMs();
      return client.resolver.resolve(
        { key: { tenant, service, environment, version }, hashKey, consistency: consistencyToWire(consistency) },
        {
          timeoutMs: Math.max(1, Math.min(controlPlaneGuard.timeoutMs, remainingMs)),
          signal: context.signal,
          correlationId: context.correlationId,
        },
      );
    },
    {
      ...controlPlaneGuard,
      isFailure: (error) => error instanceof TrafficManagerError && failures.has(error.code),
      onState: (state) => logger.warn({ state }, 'circuit breaker of the control plane'),
    },
  );
  return async (lookup, consistency, context) => {
    try {
      return answerFromWire(await guarded(lookup, consistency, context));
    } catch (error) {
      throw asDomainError(error);
    }
  };
}

function asDomainError(error: unknown): DomainError {
  if (error instanceof RefusedError && error.refusal === 'full') {
    return new DomainError('OVERLOADED', 'too many lookups are waiting for the control plane', {
      retryDelayMs: 1_000,
      cause: error,
    });
  }
  const reason = error instanceof TrafficManagerError ? reasonFromName(error.reason) : undefined;
  if (error instanceof TrafficManagerError && reason !== undefined && !failures.has(error.code)) {
    const { message, metadata, retryDelayMs } = error;
    return new DomainError(reason, message, {
      metadata,
      ...(retryDelayMs === undefined ? {} : { retryDelayMs }),
      cause: error,
    });
  }
  return new DomainError(
    'CONTROL_PLANE_UNAVAILABLE',
    'memory cannot answer this, and the control plane is out of reach',
    {
      retryDelayMs: controlPlaneGuard.resetMs,
      cause: error,
    },
  );
}

function consistencyToWire(consistency: Consistency): WireConsistency | undefined {
  switch (consistency.kind) {
    case 'eventual':
      return undefined;
    case 'max_staleness': {
      const { stalenessMsMax } = consistency;
      const seconds = BigInt(Math.floor(stalenessMsMax / 1_000));
      return {
        requirement: { $case: 'maxStaleness', value: { seconds, nanos: Math.round((stalenessMsMax % 1_000) * 1e6) } },
      };
    }
    case 'min_revision':
      return { requirement: { $case: 'minRevision', value: BigInt(consistency.revision) } };
    case 'strong':
      return { requirement: { $case: 'strong', value: true } };
  }
}

function answerFromWire({ route, trafficPolicy, selectionReason, freshness }: ResolveResponse): {
  resolution: Resolution;
  freshness: Freshness;
} {
  if (route === undefined || freshness === undefined)
    throw new Error('the control plane answered without a route or its freshness');
  return {
    resolution: {
      route: routeFromWire(route),
      policy: trafficPolicy && policyFromWire(trafficPolicy),
      reason: reasonFromWire(selectionReason),
    },
    freshness: {
      source: 'CONTROL_PLANE',
      revision: Number(freshness.revision),
      stalenessMs: Number(freshness.stalenessMs),
      stale: freshness.stale,
    },
  };
}

function reasonFromWire(reason: SelectionReason): Reason {
  switch (reason) {
    case SelectionReason.SELECTION_REASON_SPLIT:
      return 'SPLIT';
    case SelectionReason.SELECTION_REASON_DEFAULT_VERSION:
      return 'DEFAULT_VERSION';
    case SelectionReason.SELECTION_REASON_KEY:
    case SelectionReason.SELECTION_REASON_UNSPECIFIED:
    case SelectionReason.UNRECOGNIZED:
      return 'KEY';
  }
}
