/** Calls back once the event loop has looked at its sockets: `setImmediate`, or a test's own. */
export type Schedule = (run: () => void) => void;

/** Flushes, some time soon, whatever asked for it. */
export interface FlushQueue {
  add(flushable: Flushable): void;
}

/** Something that has collected output in this turn of the event loop. */
export type Flushable = { flush(): void };

/** Flushes everything that asked for it at the end of the turn: one write for each connection, however many frames. */
export class Turn implements FlushQueue {
  readonly #schedule: Schedule;
  #waiting: Flushable[] = [];

  constructor(schedule: Schedule) {
    this.#schedule = schedule;
  }

  add(flushable: Flushable): void {
    this.#waiting.push(flushable);
    if (this.#waiting.length === 1) this.#schedule(() => this.#end());
  }

  #end(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const each of waiting) each.flush();
  }
}
