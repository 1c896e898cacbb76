/** Exponential backoff with full jitter: delays spread over the whole interval, so that many clients do not return together. */
export type BackoffOptions = {
  /** Upper bound of the first delay, ms. */
  readonly baseMs: number;
  /** Upper bound of every delay, ms. */
  readonly maxMs: number;
};

/** The delay before attempt `attempt` (0 is the first retry), ms: uniform in [0, min(maxMs, baseMs × 2^attempt)). */
export function backoffMs(attempt: number, { baseMs, maxMs }: BackoffOptions, random: () => number): number {
  return random() * Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 30));
}
