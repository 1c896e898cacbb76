import CircuitBreaker from 'opossum';

export type CircuitBreakerOptions = {
  /** A call that takes longer has failed, ms. */
  readonly timeoutMs: number;
  /** Opens when more than this share of the calls in the window failed, percent. */
  readonly errorPercentageMax: number;
  /** Calls in the window before the share counts. */
  readonly volumeMin: number;
  readonly windowMs: number;
  /** When open, one call is let through again after this time, ms. */
  readonly resetMs: number;
  /** Calls under way at a time; more are refused. */
  readonly concurrentMax: number;
};

export type BreakerState = 'closed' | 'open' | 'half_open';

/** Why a guarded call was not answered by its upstream. */
export type Refusal = 'open' | 'timeout' | 'full';

/** A call that the guard itself ended. */
export class RefusedError extends Error {
  readonly refusal: Refusal;

  constructor(refusal: Refusal, cause: unknown) {
    super(`refused by the circuit breaker: ${refusal}`, { cause });
    this.refusal = refusal;
  }
}

const refusals: Readonly<Record<string, Refusal>> = { EOPENBREAKER: 'open', ETIMEDOUT: 'timeout', ESEMLOCKED: 'full' };

/**
 * Puts an opossum circuit breaker and a bound on concurrency around a call. `isFailure` tells errors that speak against the
 * upstream from errors that are its answers. Rejects with the call's own error, or with a RefusedError.
 */
export function guardWithCircuitBreaker<Parameters extends unknown[], Result>(
  call: (...parameters: Parameters) => Promise<Result>,
  options: CircuitBreakerOptions & {
    readonly isFailure: (error: unknown) => boolean;
    readonly onState: (state: BreakerState) => void;
  },
): (...parameters: Parameters) => Promise<Result> {
  const breaker = new CircuitBreaker(call, {
    timeout: options.timeoutMs,
    errorThresholdPercentage: options.errorPercentageMax,
    volumeThreshold: options.volumeMin,
    rollingCountTimeout: options.windowMs,
    resetTimeout: options.resetMs,
    capacity: options.concurrentMax,
    errorFilter: (error: unknown) => !options.isFailure(error),
  });
  breaker.on('open', () => options.onState('open'));
  breaker.on('halfOpen', () => options.onState('half_open'));
  breaker.on('close', () => options.onState('closed'));
  return async (...parameters) => {
    try {
      return await breaker.fire(...parameters);
    } catch (error) {
      const refusal = refusals[String((error as { code?: unknown }).code)];
      throw refusal === undefined ? error : new RefusedError(refusal, error);
    }
  };
}
