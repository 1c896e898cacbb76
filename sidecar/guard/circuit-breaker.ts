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
};

export type BreakerState = 'closed' | 'open' | 'half_open';

/** Why a guarded call was not answered by its upstream. */
export type Refusal = 'open' | 'timeout';

/** A call that the guard itself ended. */
export class RefusedError extends Error {
  readonly refusal: Refusal;

  constructor(refusal: Refusal, cause: unknown) {
    super(`refused by the circuit breaker: ${refusal}`, { cause });
    this.refusal = refusal;
  }
}

const refusals: Readonly<Record<string, Refusal>> = { EOPENBREAKER: 'open', ETIMEDOUT: 'timeout' };

/**
 * Puts an opossum circuit breaker around a call. `isFailure` tells which of the call's errors speak against the upstream;
 * all others are its answers. A call that takes too long is a failure. Rejects with the call's own error, or with a
 * RefusedError.
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
    // opossum asks this of its own time-outs too.
    errorFilter: (error: Error) => refusalOf(error) === undefined && !options.isFailure(error),
    // Statistics that nobody reads: both sort the times of all calls in the window, each second and with each failure.
    enableSnapshots: false,
    rollingPercentilesEnabled: false,
  });
  breaker.on('open', () => options.onState('open'));
  breaker.on('halfOpen', () => options.onState('half_open'));
  breaker.on('close', () => options.onState('closed'));
  return async (...parameters) => {
    try {
      return await breaker.fire(...parameters);
    } catch (error) {
      const refusal = refusalOf(error);
      throw refusal === undefined ? error : new RefusedError(refusal, error);
    }
  };
}

/** Undefined: an error of the call itself, whatever its code (the system spells one of its own alike). */
function refusalOf(error: unknown): Refusal | undefined {
  if (!(error instanceof Error) || !CircuitBreaker.isOurError(error) || !('code' in error)) return undefined;
  return refusals[String(error.code)];
}
