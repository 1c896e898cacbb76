/** A call that a bulkhead has no room for. */
export class FullError extends Error {}

export type BulkheadOptions = {
  /** Calls under way at a time. */
  readonly concurrentMax: number;
  /** Calls that wait for their turn, first come first served; more are refused. */
  readonly waitingMax: number;
};

/**
 * A bound on the calls to one upstream, so that a slow one cannot hold all memory: beyond it calls wait, and beyond the
 * waiting room they are refused. (Refusing at once, as opossum's own bound does, fails three quarters of a batch of 1,000.)
 */
export class Bulkhead {
  readonly #options: BulkheadOptions;
  readonly #waiting = new Set<() => void>();
  #underWay = 0;

  constructor(options: BulkheadOptions) {
    this.#options = options;
  }

  /** Makes the call in its turn. Rejects with a FullError, with the signal's reason when it fires before that, or as the call does. */
  async run<Result>(call: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
    await this.#enter(signal);
    try {
      return await call();
    } finally {
      this.#leave();
    }
  }

  async #enter(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#underWay < this.#options.concurrentMax) {
      this.#underWay += 1;
      return;
    }
    if (this.#waiting.size >= this.#options.waitingMax) throw new FullError('too many calls are waiting');
    await new Promise<void>((resolve, reject) => {
      const give = (): void => {
        signal.removeEventListener('abort', giveUp);
        resolve();
      };
      const giveUp = (): void => {
        this.#waiting.delete(give);
        reject(signal.reason as Error);
      };
      this.#waiting.add(give);
      signal.addEventListener('abort', giveUp, { once: true });
    });
  }

  /** The place of a call that ends goes to the next one in turn. */
  #leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) this.#underWay -= 1;
    else {
      this.#waiting.delete(next);
      next();
    }
  }
}
