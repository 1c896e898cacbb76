import type { Schedule } from '../../src/platform/turns.ts';

export type WorkSlicesOptions = {
  readonly monotonicMs: () => number;
  readonly schedule: Schedule;
  /** How long everything else is held up, ms. */
  readonly sliceMsMin: number;
  /** The longest after a long wait, ms. */
  readonly sliceMsMax: number;
  /** Of what the work had to wait for its turn, how much it then has. */
  readonly sharePerWait: number;
};

/**
 * Gives the event loop back between pieces of work that come many at a time, so that whoever else is waiting on a socket waits for one
 * slice and not for all of them. All pieces share the slices, and are done in the order in which they came. A piece is never cut: one that is
 * longer than a slice takes as long as it takes, and is the last of it.
 *
 * Where the rest of the process leaves little time, a slice is longer: in proportion to the wait before it, so that the work goes on with
 * that share of the time however busy the rest is. Of equal slices it would get less the busier the rest, and never catch up.
 */
export class WorkSlices {
  readonly #options: WorkSlicesOptions;
  /** Bounded by those who wait for their pieces: whoever does not bounds what it gives. */
  readonly #waiting: (() => void)[] = [];
  #scheduled = false;
  #endMs = -Infinity;

  constructor(options: WorkSlicesOptions) {
    this.#options = options;
  }

  /** What a piece of work came to, now while there is time left in a slice, or in a later one. */
  run<Result>(work: () => Result): Promise<Result> {
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    const piece = (): void => {
      try {
        resolve(work());
      } catch (error) {
        reject(error);
      }
    };
    if (this.#waiting.length === 0 && this.#options.monotonicMs() < this.#endMs) piece();
    else {
      this.#waiting.push(piece);
      this.#schedule();
    }
    return promise;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    const { schedule, monotonicMs } = this.#options;
    const scheduledAtMs = monotonicMs();
    schedule(() => {
      this.#scheduled = false;
      this.#turn(monotonicMs() - scheduledAtMs);
    });
  }

  #turn(waitedMs: number): void {
    const { monotonicMs, sliceMsMin, sliceMsMax, sharePerWait } = this.#options;
    this.#endMs = monotonicMs() + Math.min(sliceMsMax, Math.max(sliceMsMin, waitedMs * sharePerWait));
    let done = 0;
    do this.#waiting[done++]?.();
    while (done < this.#waiting.length && monotonicMs() < this.#endMs);
    this.#waiting.splice(0, done);
    if (this.#waiting.length > 0) this.#schedule();
  }
}
