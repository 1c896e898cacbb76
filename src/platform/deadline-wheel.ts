import type { Clock } from './clock.ts';

/** Something that is due at a time. Only the wheel changes `dueMs`. */
export interface Due {
  dueMs: number;
}

export type DeadlineWheelOptions<Item extends Due> = {
  readonly clock: Clock;
  /** How often it looks, ms: items come up to that much too early, and never late by more than the timer itself is. */
  readonly tickMs: number;
  readonly onDue: (item: Item) => void;
};

const slotCount = 512;

/**
 * One timer for thousands of deadlines. Items stand in slots of one tick each; a slot that comes round gives up the items
 * that are due in this round. Arming and disarming cost one set operation; a timer of the runtime for each of 10,000 items
 * that mostly move on would be made and cleared all the time.
 */
export class DeadlineWheel<Item extends Due> implements Disposable {
  readonly #options: DeadlineWheelOptions<Item>;
  readonly #slots = Array.from({ length: slotCount }, () => new Set<Item>());
  readonly #stopped = new AbortController();
  #count = 0;
  #tick = 0;
  #turning = false;

  constructor(options: DeadlineWheelOptions<Item>) {
    this.#options = options;
  }

  /** Calls back when it is time; in the place of an earlier deadline of the item. */
  arm(item: Item, dueMs: number): void {
    this.disarm(item);
    if (!this.#turning) void this.#turn();
    // What is overdue comes with the next tick: its own slot has gone by.
    item.dueMs = Math.max(dueMs, this.#tick * this.#options.tickMs);
    this.#slotOf(item).add(item);
    this.#count++;
  }

  disarm(item: Item): void {
    if (this.#slotOf(item).delete(item)) this.#count--;
  }

  #slotOf({ dueMs }: Item): Set<Item> {
    return this.#slots[this.#tickOf(dueMs) % slotCount] as Set<Item>;
  }

  #tickOf(timeMs: number): number {
    return Math.max(0, Math.floor(timeMs / this.#options.tickMs));
  }

  async #turn(): Promise<void> {
    const { clock, tickMs } = this.#options;
    this.#turning = true;
    this.#tick = this.#tickOf(clock.monotonicMs());
    do {
      await clock.sleep(Math.max(0, (this.#tick + 1) * tickMs - clock.monotonicMs()), this.#stopped.signal);
      const now = this.#tickOf(clock.monotonicMs());
      // Late by more than a round: each slot once.
      const first = Math.max(this.#tick, now - slotCount + 1);
      this.#tick = now;
      for (let tick = first; tick <= now; tick++) this.#giveUp(this.#slots[tick % slotCount] as Set<Item>, now);
    } while (this.#count > 0 && !this.#stopped.signal.aborted);
    this.#turning = false;
  }

  #giveUp(slot: Set<Item>, now: number): void {
    // A copy: who is called may arm items again, and disarm others.
    const due = Array.from(slot).filter((item) => this.#tickOf(item.dueMs) <= now);
    for (const item of due) {
      if (!slot.has(item)) continue;
      slot.delete(item);
      this.#count--;
      this.#options.onDue(item);
    }
  }

  [Symbol.dispose](): void {
    this.#stopped.abort();
  }
}
