import { limits } from './limits.ts';
import { isFailureCode, isRetryableCode } from './status-code-name.ts';
import type { Violations } from './validation.ts';

/** When and how often a call is tried again. */
export type RetryPolicy = {
  /** Tries in all, the first included. */
  readonly attemptsMax: number;
  readonly codes: readonly string[];
  /** Undefined only before validation, here and below: the wire cannot require a duration. */
  readonly backoffBaseMs: number | undefined;
  readonly backoffMaxMs: number | undefined;
  /** Share of all calls that retries may be. */
  readonly budgetPercent: number;
  readonly budgetFloorPerSecond: number;
};

/** When calls to an endpoint are refused at once. */
export type CircuitBreakerPolicy = {
  readonly errorPercent: number;
  readonly volumeMin: number;
  readonly windowMs: number | undefined;
  readonly resetTimeoutMs: number | undefined;
  readonly concurrentMax: number;
  readonly pendingMax: number;
};

/** How calls are spread over a route's endpoints. UNRECOGNIZED: of a newer program; to be taken for the default. */
export type LoadBalancing = 'ROUND_ROBIN' | 'LEAST_PENDING' | 'RING_HASH' | 'UNRECOGNIZED';

/** When an endpoint that fails is left out for a while. */
export type OutlierEjection = {
  readonly consecutiveErrors: number;
  readonly baseEjectionTimeMs: number | undefined;
  readonly ejectedPercentMax: number;
};

/** Which endpoints are preferred by place. UNRECOGNIZED: of a newer program; to be taken for the default. */
export type LocalityPreference = 'NONE' | 'SAME_ZONE' | 'UNRECOGNIZED';

/** Sends copies of calls to another version. */
export type Mirroring = { readonly version: string; readonly percent: number };

/** Faults made on purpose. */
export type FaultInjection = {
  readonly delayPercent: number;
  readonly delayMs: number | undefined;
  readonly abortPercent: number;
  /** '' : none. */
  readonly abortCode: string;
};

/** How calls are made once it is decided where they go. What is absent has the default that the proto says. */
export type CallSettings = {
  readonly timeoutMs?: number | undefined;
  readonly perTryTimeoutMs?: number | undefined;
  readonly retry?: RetryPolicy | undefined;
  readonly circuitBreaker?: CircuitBreakerPolicy | undefined;
  readonly loadBalancing?: LoadBalancing | undefined;
  readonly outlierEjection?: OutlierEjection | undefined;
  readonly localityPreference?: LocalityPreference | undefined;
  readonly mirroring?: Mirroring | undefined;
  readonly faultInjection?: FaultInjection | undefined;
};

type Range = { readonly min: number; readonly max: number };

const percentRange: Range = { min: 0, max: 100 };

/** Adds everything that is wrong with the settings of a policy at `field`. */
export function validateCallSettings(violations: Violations, field: string, settings: CallSettings): void {
  const { timeoutMs, perTryTimeoutMs, retry, circuitBreaker, outlierEjection, mirroring, faultInjection } = settings;
  const timeoutRange = { min: 1, max: limits.callTimeoutMsMax };
  if (timeoutMs !== undefined) milliseconds(violations, `${field}.timeout`, timeoutMs, timeoutRange);
  if (perTryTimeoutMs !== undefined) {
    milliseconds(violations, `${field}.per_try_timeout`, perTryTimeoutMs, timeoutRange);
    if (timeoutMs !== undefined && perTryTimeoutMs > timeoutMs)
      violations.add(`${field}.per_try_timeout`, 'must not be longer than timeout');
  }
  if (retry !== undefined) validateRetry(violations, `${field}.retry`, retry);
  if (circuitBreaker !== undefined) validateCircuitBreaker(violations, `${field}.circuit_breaker`, circuitBreaker);
  if (settings.loadBalancing === 'UNRECOGNIZED')
    violations.add(`${field}.load_balancing`, 'must be ROUND_ROBIN, LEAST_PENDING or RING_HASH');
  if (settings.localityPreference === 'UNRECOGNIZED')
    violations.add(`${field}.locality_preference`, 'must be NONE or SAME_ZONE');
  if (outlierEjection !== undefined) validateEjection(violations, `${field}.outlier_ejection`, outlierEjection);
  if (mirroring !== undefined) {
    violations.version(`${field}.mirroring.version`, mirroring.version);
    percent(violations, `${field}.mirroring.percent`, mirroring.percent, percentRange);
  }
  if (faultInjection !== undefined) validateFaults(violations, `${field}.fault_injection`, faultInjection);
}

function validateRetry(violations: Violations, field: string, retry: RetryPolicy): void {
  const { attemptsMax, codes, backoffBaseMs, backoffMaxMs, budgetPercent, budgetFloorPerSecond } = retry;
  violations.integer(`${field}.attempts_max`, attemptsMax, { min: 1, max: limits.retryAttemptsMax });
  if (codes.length === 0) violations.add(`${field}.codes`, 'is required');
  if (codes.length > limits.retryCodesMax)
    violations.add(`${field}.codes`, `has more than ${limits.retryCodesMax} entries`);
  for (const [index, code] of codes.slice(0, limits.retryCodesMax).entries()) {
    const path = `${field}.codes[${index}]`;
    if (!isRetryableCode(code)) violations.add(path, 'is not the name of a status code that another try could mend');
    else if (codes.indexOf(code) < index) violations.add(path, 'stands twice in this list');
  }
  milliseconds(violations, `${field}.backoff_base`, backoffBaseMs, { min: 1, max: limits.retryBackoffBaseMsMax });
  milliseconds(violations, `${field}.backoff_max`, backoffMaxMs, { min: 1, max: limits.retryBackoffMsMax });
  if (backoffBaseMs !== undefined && backoffMaxMs !== undefined && backoffMaxMs < backoffBaseMs)
    violations.add(`${field}.backoff_max`, 'must not be shorter than backoff_base');
  percent(violations, `${field}.budget_percent`, budgetPercent, percentRange);
  violations.integer(`${field}.budget_floor_per_second`, budgetFloorPerSecond, {
    min: 0,
    max: limits.retryBudgetFloorMax,
  });
}

function validateCircuitBreaker(violations: Violations, field: string, breaker: CircuitBreakerPolicy): void {
  const { errorPercent, volumeMin, windowMs, resetTimeoutMs, concurrentMax, pendingMax } = breaker;
  percent(violations, `${field}.error_percent`, errorPercent, { min: 1, max: 100 });
  violations.integer(`${field}.volume_min`, volumeMin, { min: 1, max: limits.breakerVolumeMax });
  const max = limits.healthIntervalMsMax;
  milliseconds(violations, `${field}.window`, windowMs, { min: limits.breakerWindowMsMin, max });
  milliseconds(violations, `${field}.reset_timeout`, resetTimeoutMs, { min: limits.breakerResetMsMin, max });
  violations.integer(`${field}.concurrent_max`, concurrentMax, { min: 1, max: limits.breakerCallsMax });
  violations.integer(`${field}.pending_max`, pendingMax, { min: 0, max: limits.breakerCallsMax });
}

function validateEjection(violations: Violations, field: string, ejection: OutlierEjection): void {
  const { consecutiveErrors, baseEjectionTimeMs, ejectedPercentMax } = ejection;
  violations.integer(`${field}.consecutive_errors`, consecutiveErrors, { min: 1, max: limits.ejectionErrorsMax });
  milliseconds(violations, `${field}.base_ejection_time`, baseEjectionTimeMs, {
    min: limits.ejectionTimeMsMin,
    max: limits.healthIntervalMsMax,
  });
  percent(violations, `${field}.ejected_percent_max`, ejectedPercentMax, percentRange);
}

function validateFaults(violations: Violations, field: string, faults: FaultInjection): void {
  const { delayPercent, delayMs, abortPercent, abortCode } = faults;
  percent(violations, `${field}.delay_percent`, delayPercent, percentRange);
  if (delayMs !== undefined || delayPercent > 0)
    milliseconds(violations, `${field}.delay`, delayMs, { min: 1, max: limits.faultDelayMsMax });
  percent(violations, `${field}.abort_percent`, abortPercent, percentRange);
  if ((abortCode !== '' || abortPercent > 0) && !isFailureCode(abortCode))
    violations.add(`${field}.abort_code`, 'must be the name of a status code other than OK, such as UNAVAILABLE');
}

/** A duration of whole milliseconds; undefined: it is not set, and must be. */
function milliseconds(
  violations: Violations,
  field: string,
  durationMs: number | undefined,
  { min, max }: Range,
): void {
  if (durationMs === undefined) violations.add(field, 'is required');
  else if (!Number.isInteger(durationMs) || durationMs < min || durationMs > max)
    violations.add(field, `must be a whole number of milliseconds from ${min} to ${max}`);
}

/** Any number of percent, fractions too; NaN is none. */
function percent(violations: Violations, field: string, share: number, { min, max }: Range): void {
  if (!(share >= min && share <= max)) violations.add(field, `must be from ${min} to ${max}`);
}
