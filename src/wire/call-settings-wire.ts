import type {
  CallSettings,
  CircuitBreakerPolicy,
  FaultInjection,
  LoadBalancing,
  LocalityPreference,
  OutlierEjection,
  RetryPolicy,
} from '../domain/call-settings.ts';
import type { Duration } from '../gen/google/protobuf/duration.ts';
import {
  LoadBalancing as WireLoadBalancing,
  LocalityPreference as WireLocalityPreference,
  type CircuitBreakerPolicy as WireBreaker,
  type FaultInjection as WireFaults,
  type OutlierEjection as WireEjection,
  type RetryPolicy as WireRetry,
  type TrafficPolicy as WirePolicy,
} from '../gen/trafficmanager/v1/traffic_policy.ts';
import { durationFromWire, durationToWire } from './duration-wire.ts';

/** The fields of a policy that say how calls are made. */
type WireSettings = Pick<
  WirePolicy,
  | 'timeout'
  | 'perTryTimeout'
  | 'retry'
  | 'circuitBreaker'
  | 'loadBalancing'
  | 'outlierEjection'
  | 'localityPreference'
  | 'mirroring'
  | 'faultInjection'
>;

const loadBalancingToWire = {
  ROUND_ROBIN: WireLoadBalancing.LOAD_BALANCING_ROUND_ROBIN,
  LEAST_PENDING: WireLoadBalancing.LOAD_BALANCING_LEAST_PENDING,
  RING_HASH: WireLoadBalancing.LOAD_BALANCING_RING_HASH,
  UNRECOGNIZED: WireLoadBalancing.LOAD_BALANCING_UNSPECIFIED,
} as const satisfies Record<LoadBalancing, WireLoadBalancing>;

const localityPreferenceToWire = {
  NONE: WireLocalityPreference.LOCALITY_PREFERENCE_NONE,
  SAME_ZONE: WireLocalityPreference.LOCALITY_PREFERENCE_SAME_ZONE,
  UNRECOGNIZED: WireLocalityPreference.LOCALITY_PREFERENCE_UNSPECIFIED,
} as const satisfies Record<LocalityPreference, WireLocalityPreference>;

export function callSettingsFromWire(wire: WireSettings): CallSettings {
  return {
    timeoutMs: optionalFromWire(wire.timeout),
    perTryTimeoutMs: optionalFromWire(wire.perTryTimeout),
    retry: wire.retry && retryFromWire(wire.retry),
    circuitBreaker: wire.circuitBreaker && breakerFromWire(wire.circuitBreaker),
    loadBalancing: loadBalancingFromWire(wire.loadBalancing),
    outlierEjection: wire.outlierEjection && ejectionFromWire(wire.outlierEjection),
    localityPreference: localityPreferenceFromWire(wire.localityPreference),
    mirroring: wire.mirroring && { version: wire.mirroring.version, percent: withoutSign(wire.mirroring.percent) },
    faultInjection: wire.faultInjection && faultsFromWire(wire.faultInjection),
  };
}

export function callSettingsToWire(settings: CallSettings): WireSettings {
  const { retry, circuitBreaker, loadBalancing, outlierEjection, localityPreference, faultInjection } = settings;
  return {
    timeout: optionalToWire(settings.timeoutMs),
    perTryTimeout: optionalToWire(settings.perTryTimeoutMs),
    retry: retry && retryToWire(retry),
    circuitBreaker: circuitBreaker && breakerToWire(circuitBreaker),
    loadBalancing:
      loadBalancing === undefined ? WireLoadBalancing.LOAD_BALANCING_UNSPECIFIED : loadBalancingToWire[loadBalancing],
    outlierEjection: outlierEjection && ejectionToWire(outlierEjection),
    localityPreference:
      localityPreference === undefined
        ? WireLocalityPreference.LOCALITY_PREFERENCE_UNSPECIFIED
        : localityPreferenceToWire[localityPreference],
    mirroring: settings.mirroring && { ...settings.mirroring },
    faultInjection: faultInjection && faultsToWire(faultInjection),
  };
}

function loadBalancingFromWire(wire: WireLoadBalancing): LoadBalancing | undefined {
  switch (wire) {
    case WireLoadBalancing.LOAD_BALANCING_UNSPECIFIED:
      return undefined;
    case WireLoadBalancing.LOAD_BALANCING_ROUND_ROBIN:
      return 'ROUND_ROBIN';
    case WireLoadBalancing.LOAD_BALANCING_LEAST_PENDING:
      return 'LEAST_PENDING';
    case WireLoadBalancing.LOAD_BALANCING_RING_HASH:
      return 'RING_HASH';
    case WireLoadBalancing.UNRECOGNIZED:
    default:
      // A number of a newer or a broken program.
      return 'UNRECOGNIZED';
  }
}

function localityPreferenceFromWire(wire: WireLocalityPreference): LocalityPreference | undefined {
  switch (wire) {
    case WireLocalityPreference.LOCALITY_PREFERENCE_UNSPECIFIED:
      return undefined;
    case WireLocalityPreference.LOCALITY_PREFERENCE_NONE:
      return 'NONE';
    case WireLocalityPreference.LOCALITY_PREFERENCE_SAME_ZONE:
      return 'SAME_ZONE';
    case WireLocalityPreference.UNRECOGNIZED:
    default:
      return 'UNRECOGNIZED';
  }
}

function retryFromWire(wire: WireRetry): RetryPolicy {
  return {
    attemptsMax: wire.attemptsMax,
    codes: [...wire.codes],
    backoffBaseMs: optionalFromWire(wire.backoffBase),
    backoffMaxMs: optionalFromWire(wire.backoffMax),
    budgetPercent: withoutSign(wire.budgetPercent),
    budgetFloorPerSecond: wire.budgetFloorPerSecond,
  };
}

function retryToWire(retry: RetryPolicy): WireRetry {
  return {
    attemptsMax: retry.attemptsMax,
    codes: [...retry.codes],
    backoffBase: optionalToWire(retry.backoffBaseMs),
    backoffMax: optionalToWire(retry.backoffMaxMs),
    budgetPercent: retry.budgetPercent,
    budgetFloorPerSecond: retry.budgetFloorPerSecond,
  };
}

function breakerFromWire(wire: WireBreaker): CircuitBreakerPolicy {
  return {
    errorPercent: withoutSign(wire.errorPercent),
    volumeMin: wire.volumeMin,
    windowMs: optionalFromWire(wire.window),
    resetTimeoutMs: optionalFromWire(wire.resetTimeout),
    concurrentMax: wire.concurrentMax,
    pendingMax: wire.pendingMax,
  };
}

function breakerToWire(breaker: CircuitBreakerPolicy): WireBreaker {
  return {
    errorPercent: breaker.errorPercent,
    volumeMin: breaker.volumeMin,
    window: optionalToWire(breaker.windowMs),
    resetTimeout: optionalToWire(breaker.resetTimeoutMs),
    concurrentMax: breaker.concurrentMax,
    pendingMax: breaker.pendingMax,
  };
}

function ejectionFromWire(wire: WireEjection): OutlierEjection {
  return {
    consecutiveErrors: wire.consecutiveErrors,
    baseEjectionTimeMs: optionalFromWire(wire.baseEjectionTime),
    ejectedPercentMax: withoutSign(wire.ejectedPercentMax),
  };
}

function ejectionToWire(ejection: OutlierEjection): WireEjection {
  return {
    consecutiveErrors: ejection.consecutiveErrors,
    baseEjectionTime: optionalToWire(ejection.baseEjectionTimeMs),
    ejectedPercentMax: ejection.ejectedPercentMax,
  };
}

function faultsFromWire(wire: WireFaults): FaultInjection {
  return {
    delayPercent: withoutSign(wire.delayPercent),
    delayMs: optionalFromWire(wire.delay),
    abortPercent: withoutSign(wire.abortPercent),
    abortCode: wire.abortCode,
  };
}

function faultsToWire(faults: FaultInjection): WireFaults {
  return {
    delayPercent: faults.delayPercent,
    delay: optionalToWire(faults.delayMs),
    abortPercent: faults.abortPercent,
    abortCode: faults.abortCode,
  };
}

function optionalFromWire(duration: Duration | undefined): number | undefined {
  return duration && durationFromWire(duration);
}

function optionalToWire(durationMs: number | undefined): Duration | undefined {
  return durationMs === undefined ? undefined : durationToWire(durationMs);
}

/** JSON, and with it the database, has no -0: what is stored would differ from what was answered. */
function withoutSign(share: number): number {
  return share === 0 ? 0 : share;
}
