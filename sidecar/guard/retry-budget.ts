export type RetryBudgetOptions = {
  /** Retries allowed for each call that is made, such as 0.1. */
  readonly perCall: number;
  /** Retries that may be saved up; there at the beginning. */
  readonly savedMax: number;
};

/**
 * How many retries there may be: a share of the calls. Retries that each caller counts by itself multiply the load on an
 * upstream just when it has too much of it; with a budget of a tenth it is 1.1 times at most, whatever fails.
 */
export class RetryBudget {
  readonly #options: RetryBudgetOptions;
  #saved: number;

  constructor(options: RetryBudgetOptions) {
    this.#options = options;
    this.#saved = options.savedMax;
  }

  /** A first attempt was made: it has reached the upstream, or tried to. */
  deposit(): void {
    this.#saved = Math.min(this.#options.savedMax, this.#saved + this.#options.perCall);
  }

  /** Whether there may be one more retry; it is then spent. */
  withdraw(): boolean {
    if (this.#saved < 1) return false;
    this.#saved -= 1;
    return true;
  }
}
