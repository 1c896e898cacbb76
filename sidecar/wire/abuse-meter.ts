import { ConnectionError } from './error-code.ts';

/** A bucket of tokens: so many at once, and so many more each second. */
export type Allowance = { readonly burst: number; readonly perSecond: number };

/**
 * Counts what is legal one by one and an attack in thousands. The clock is read only when the bucket is empty, so counting
 * costs nothing on a connection that behaves.
 */
export class AbuseMeter {
  readonly #allowance: Allowance;
  readonly #what: string;
  readonly #monotonicMs: () => number;
  #left: number;
  #filledAtMs: number;

  constructor(allowance: Allowance, { monotonicMs, what }: { monotonicMs: () => number; what: string }) {
    this.#what = what;
    this.#allowance = allowance;
    this.#monotonicMs = monotonicMs;
    this.#left = allowance.burst;
    this.#filledAtMs = monotonicMs();
  }

  /** Counts one; fails when there have been too many. */
  count(): void {
    if (this.#left < 1) this.#refill();
    if (this.#left < 1) throw new ConnectionError('ENHANCE_YOUR_CALM', `too many ${this.#what}`);
    this.#left--;
  }

  #refill(): void {
    const { burst, perSecond } = this.#allowance;
    const nowMs = this.#monotonicMs();
    this.#left = Math.min(burst, this.#left + ((nowMs - this.#filledAtMs) * perSecond) / 1_000);
    this.#filledAtMs = nowMs;
  }
}
