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

/** Does the next step of some work; whether there is another. */
type Piece = () => boolean;

/**
 * Gives the event loop back between pieces of work that come many at a time, so that whoever else is waiting on a socket waits for one
 * slice and not for all of them. All pieces share the slices, and are done in the order in which they came. A piece is cut between its steps
 * only: a step that is longer than a slice takes as long as it takes, and is the last of it.
 *
 * Where the rest of the process leaves little time, a slice is longer: in proportion to the wait before it, so that the work goes on with
 * that share of the time however busy the rest is. Of equal slices it would get less the busier the rest, and never catch up.
 */
export class WorkSlices {
  readonly #options: WorkSlicesOptions;
  /** What is left to do. Bounded by those who wait for their pieces: whoever does not bounds what it gives. */
  readonly #waiting: Piece[] = [];
  #scheduled = false;
  #endMs = -Infinity;

  constructor(options: WorkSlicesOptions) {
    this.#options = options;
  }

  /** What a piece of work came to, now while there is time left in a slice, or in a later one. */
  run<Result>(work: () => Result): Promise<Result> {
    return this.runSteps(onlyStep(work));
  }

  /** The same of work in steps, between which a slice may end. What comes after it waits for the last of them. */
  runSteps<Result>(steps: Iterator<unknown, Result>): Promise<Result> {
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    const piece = (): boolean => {
      try {
        const step = steps.next();
        if (step.done === true) resolve(step.value);
        return step.done !== true;
      } catch (error) {
        reject(error);
        return false;
      }
    };
    const hasTime = this.#waiting.length === 0 && this.#options.monotonicMs() < this.#endMs;
    if (hasTime && this.#isDone(piece)) return promise;
    this.#waiting.push(piece);
    this.#schedule();
    return promise;
  }

  /** Does steps of a piece until it is done, or the slice is over. */
  #isDone(piece: Piece): boolean {
    while (piece()) if (this.#options.monotonicMs() >= this.#endMs) return false;
    return true;
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
    for (const piece of this.#waiting) {
      if (!this.#isDone(piece)) break;
      done++;
      if (monotonicMs() >= this.#endMs) break;
    }
    this.#waiting.splice(0, done);
    if (this.#waiting.length > 0) this.#schedule();
  }
}

function onlyStep<Result>(work: () => Result): Iterator<unknown, Result> {
  return { next: () => ({ done: true, value: work() }) };
}
