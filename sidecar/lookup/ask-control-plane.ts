import type { TrafficManagerClient } from '../../src/client/create-client.ts';
import { TrafficManagerError } from '../../src/client/traffic-manager-error.ts';
import { DomainError, type Reason as ErrorReason } from '../../src/domain/domain-error.ts';
import { isPast, type Consistency, type Freshness } from '../../src/domain/freshness.ts';
import type { Lookup, Resolution, SelectionReason as Reason } from '../../src/domain/resolve.ts';
import {
  FreshnessSource as WireSource,
  SelectionReason,
  type Consistency as WireConsistency,
  type ResolveResponse,
} from '../../src/gen/trafficmanager/v1/resolver_service.ts';
import { backoffMs } from '../../src/platform/backoff.ts';
import type { Clock } from '../../src/platform/clock.ts';
import type { CallContext } from '../../src/platform/grpc/handlers.ts';
import type { Logger } from '../../src/platform/logger.ts';
import { atToWire } from '../../src/wire/at-wire.ts';
import { durationToWire } from '../../src/wire/duration-wire.ts';
import { routeFromWire } from '../../src/wire/route-wire.ts';
import { reasonFromName } from '../../src/wire/status.ts';
import { policyFromWire } from '../../src/wire/traffic-policy-wire.ts';
import { FullError } from '../guard/bulkhead.ts';
import { guardWithCircuitBreaker, RefusedError, type BreakerState } from '../guard/circuit-breaker.ts';
import type { RetryBudget } from '../guard/retry-budget.ts';
import { TenantBulkheads } from '../guard/tenant-bulkheads.ts';
import { controlPlaneGuard, sidecarLimits } from '../limits.ts';

/** Who asks. */
export type AskContext = Pick<CallContext, 'signal' | 'deadlineMs' | 'correlationId'>;

type Answer = { resolution: Resolution; freshness: Freshness };

/** Asks the control plane one lookup; rejects with a DomainError. */
export type AskControlPlane = (lookup: Lookup, consistency: Consistency, context: AskContext) => Promise<Answer>;

export type AskControlPlaneOptions = {
  readonly client: Pick<TrafficManagerClient, 'resolver'>;
  readonly clock: Clock;
  readonly random: () => number;
  /** Of retries, over all calls. */
  readonly budget: RetryBudget;
  readonly logger: Logger;
  /** Told each state that the circuit breaker comes to. */
  readonly onBreakerState?: (state: BreakerState) => void;
};

/** Statuses that say something about the control plane itself; all others are its answers. */
const failures: ReadonlySet<string> = new Set(['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'INTERNAL', 'UNKNOWN']);
/** What it answers as UNAVAILABLE about the one lookup that was asked, not about itself. */
const unavailableAnswers: ReadonlySet<string> = new Set<ErrorReason>([
  'STALENESS_EXCEEDED',
  'REVISION_NOT_REACHED',
  'SNAPSHOT_NOT_READY',
]);

/** Whether an error of a call speaks against the control plane. */
function isFailure(error: unknown): boolean {
  if (error instanceof NonsenseError) return true;
  return error instanceof TrafficManagerError && failures.has(error.code) && !unavailableAnswers.has(error.reason);
}

/** An answer to something else than was asked: as good as none. */
class NonsenseError extends Error {}

/** A caller left the control plane so little time that its silence says nothing about it. */
class ImpatienceError extends Error {}

/** Lookups passed on to the control plane, behind a circuit breaker and a bound on how many are under way. */
export function createAskControlPlane(options: AskControlPlaneOptions): AskControlPlane {
  const { client, clock, random, budget, logger, onBreakerState } = options;
  const guarded = guardWithCircuitBreaker(
    (lookup: Lookup, consistency: Consistency, context: AskContext) => {
      const { tenant, service, environment, version, hashKey, attributes, method } = lookup;
      const remainingMs =
        context.deadlineMs === undefined
          ? controlPlaneGuard.timeoutMs
          : context.deadlineMs - clock.wallMs() - sidecarLimits.answerReserveMs;
      const timeoutMs = Math.max(1, Math.min(controlPlaneGuard.timeoutMs, remainingMs));
      const askedAtMs = clock.monotonicMs();
      return client.resolver
        .resolve(
          {
            key: { tenant, service, environment, version },
            hashKey,
            attributes,
            method,
            consistency: consistencyToWire(consistency),
            at: isPast(consistency) ? atToWire(consistency) : undefined,
          },
          { timeoutMs, signal: context.signal, correlationId: context.correlationId },
        )
        .then(
          (response) => answerFromWire(response, { lookup, consistency, wayMs: clock.monotonicMs() - askedAtMs }),
          (error: unknown) => {
            const late = error instanceof TrafficManagerError && error.code === 'DEADLINE_EXCEEDED';
            if (!late || timeoutMs >= controlPlaneGuard.fairTimeoutMs) throw error;
            throw new ImpatienceError(`the caller left ${Math.ceil(timeoutMs)} ms for an answer`, { cause: error });
          },
        );
    },
    {
      ...controlPlaneGuard,
      isFailure,
      onState: (state) => {
        logger.warn({ state }, 'circuit breaker of the control plane');
        onBreakerState?.(state);
      },
    },
  );
  const bulkheads = new TenantBulkheads({ perTenant: controlPlaneGuard.perTenant, all: controlPlaneGuard });
  const deadline = (): number => clock.wallMs() + sidecarLimits.answerReserveMs + controlPlaneGuard.timeoutMs;
  return async (lookup, consistency, context) => {
    // Whoever has no deadline gets one: of the call and its retries together, and not of waiting for a place.
    const call = (): Promise<Answer> => {
      const bounded = { ...context, deadlineMs: context.deadlineMs ?? deadline() };
      return withRetries(() => guarded(lookup, consistency, bounded), { budget, clock, random, context: bounded });
    };
    try {
      return await bulkheads.run(lookup.tenant, call, context.signal);
    } catch (error) {
      throw asDomainError(error);
    }
  };
}

type Retrying = {
  readonly budget: RetryBudget;
  readonly clock: Clock;
  readonly random: () => number;
  readonly context: AskContext;
};

/** Calls again what the control plane did not take, while the budget and the time allow it. */
async function withRetries<Result>(
  call: () => Promise<Result>,
  { budget, clock, random, context }: Retrying,
): Promise<Result> {
  for (let attempt = 0; ; attempt++) {
    try {
      const result = await call();
      if (attempt === 0) budget.deposit();
      return result;
    } catch (error) {
      // What the open breaker refused was no load on the control plane, so it earns no retries: else an outage would save up for one
      // burst of them just when it ends.
      if (error instanceof RefusedError && error.refusal === 'open') throw error;
      if (attempt === 0) budget.deposit();
      const isRetriable = error instanceof TrafficManagerError && error.code === 'UNAVAILABLE' && isFailure(error);
      if (!isRetriable || attempt >= controlPlaneGuard.retriesMax) throw error;
      const delayMs = backoffMs(attempt, controlPlaneGuard.retryBackoff, random);
      const remainingMs = (context.deadlineMs ?? Infinity) - clock.wallMs() - sidecarLimits.answerReserveMs;
      if (delayMs >= remainingMs || context.signal.aborted || !budget.withdraw()) throw error;
      await clock.sleep(delayMs, context.signal);
    }
  }
}

function asDomainError(error: unknown): DomainError {
  if (error instanceof FullError) {
    return new DomainError('OVERLOADED', 'too many lookups are waiting for the control plane', {
      retryDelayMs: 1_000,
      cause: error,
    });
  }
  const reason = error instanceof TrafficManagerError ? reasonFromName(error.reason) : undefined;
  if (error instanceof TrafficManagerError && reason !== undefined && !isFailure(error)) {
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
    case 'at_revision':
    case 'at_time':
      return undefined;
    case 'max_staleness':
      return { requirement: { $case: 'maxStaleness', value: durationToWire(consistency.stalenessMsMax) } };
    case 'min_revision':
      return { requirement: { $case: 'minRevision', value: BigInt(consistency.revision) } };
    case 'strong':
      return { requirement: { $case: 'strong', value: true } };
  }
}

type Asked = { readonly lookup: Lookup; readonly consistency: Consistency; readonly wayMs: number };

/** What was answered has aged on its way, if it is not of a moment of the call or of the past: all of the way, as staleness is never understated. */
function answerFromWire(response: ResolveResponse, { lookup, consistency, wayMs }: Asked): Answer {
  const { route, trafficPolicy, selectionReason, matchRule, freshness } = response;
  if (route === undefined || freshness === undefined)
    throw new NonsenseError('the control plane answered without a route or its freshness');
  const resolution = {
    route: routeFromWire(route),
    policy: trafficPolicy && policyFromWire(trafficPolicy),
    reason: reasonFromWire(selectionReason),
    matchRule,
  };
  const { key } = resolution.route;
  const isAsked =
    key.tenant === lookup.tenant && key.service === lookup.service && key.environment === lookup.environment;
  if (!isAsked || (lookup.version !== '' && key.version !== lookup.version))
    throw new NonsenseError('the control plane answered with a route that was not asked for');
  const revision = Number(freshness.revision);
  const stalenessMs = Number(freshness.stalenessMs);
  if (stalenessMs < 0 || (consistency.kind === 'min_revision' && revision < consistency.revision))
    throw new NonsenseError('the control plane answered with a freshness that cannot be');
  const isAgeless = consistency.kind === 'strong' || isPast(consistency);
  return {
    resolution,
    freshness: {
      source: freshness.source === WireSource.FRESHNESS_SOURCE_HISTORY ? 'HISTORY' : 'CONTROL_PLANE',
      revision,
      stalenessMs: isAgeless ? stalenessMs : stalenessMs + wayMs,
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
    case SelectionReason.SELECTION_REASON_MATCH_RULE:
      return 'MATCH_RULE';
    case SelectionReason.SELECTION_REASON_KEY:
    case SelectionReason.SELECTION_REASON_UNSPECIFIED:
    case SelectionReason.UNRECOGNIZED:
      return 'KEY';
  }
}
