/** Work that may take long, done piece by piece between the turns of the event loop. */
export interface TurnTask {
  /** Works until there is nothing left (false), or until `mayGoOn` says no (true: there is more). */
  work(mayGoOn: () => boolean): boolean;
}

/** Calls back once the event loop has looked at its sockets. Programs pass {@link afterSockets}, tests one that they run by hand. */
export type Schedule = (run: () => void) => void;

export const afterSockets: Schedule = (run) => void setImmediate(run);

/** Calls back once what runs now has ended, with the promises that wait for it, before the event loop goes on. */
export const afterCallers: Schedule = (run) => process.nextTick(run);

export type TurnsOptions = {
  readonly monotonicMs: () => number;
  readonly schedule: Schedule;
  /** The longest that all tasks together hold up everything else, ms. */
  readonly sliceMsMax: number;
};

/**
 * Shares the event loop between long work and everything else: one slice of it a turn, whatever the number of tasks, which
 * take turns themselves. So a call waits for one slice at most, and no task for more than one slice of each other.
 */
export class Turns {
  readonly #options: TurnsOptions;
  /** Bounded: each task stands here once at most. */
  readonly #waiting = new Set<TurnTask>();
  #scheduled = false;

  constructor(options: TurnsOptions) {
    this.#options = options;
  }

  /** The task has work. Cheap, and harmless when it was known. */
  add(task: TurnTask): void {
    this.#waiting.add(task);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#options.schedule(() => {
      this.#scheduled = false;
      this.#run();
    });
  }

  #run(): void {
    const { monotonicMs, sliceMsMax } = this.#options;
    const endMs = monotonicMs() + sliceMsMax;
    const mayGoOn = (): boolean => monotonicMs() < endMs;
    // Tasks that are added meanwhile, also again, wait for the next turn.
    const tasks = Array.from(this.#waiting);
    for (const task of tasks) {
      this.#waiting.delete(task);
      if (task.work(mayGoOn)) this.#waiting.add(task);
      if (!mayGoOn()) break;
    }
    if (this.#waiting.size > 0) this.#schedule();
  }
}
