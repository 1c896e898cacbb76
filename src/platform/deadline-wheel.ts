import type { Clock } from './clock.ts';

/** Something that is due at a time. Only the wheel changes `dueMs`. */
export interface Due {
  dueMs: number;
}

export type DeadlineWheelOptions<Item extends Due> = {
  readonly clock: Clock;
  /** How exact it is, ms: items come up to that much too early, and never late by more than the timer itself is. */
  readonly tickMs: number;
  readonly onDue: (item: Item) => void;
};

const slotCount = 512;

/**
 * One timer for thousands of deadlines. Items stand in slots of one tick each; a slot that comes round gives up the items
 * that are due in this round. It sleeps until the next slot that has any: a wheel with a few deadlines far off wakes the process a few
 * times in a round, not at every tick. Arming and disarming cost one set operation; a timer of the runtime for each of 10,000 items
 * that mostly move on would be made and cleared all the time.
 */
export class DeadlineWheel<Item extends Due> implements Disposable {
  readonly #options: DeadlineWheelOptions<Item>;
  readonly #slots = Array.from({ length: slotCount }, () => new Set<Item>());
  readonly #stopped = new AbortController();
  #count = 0;
  #tick = 0;
  #turning = false;
  /** The tick until which it sleeps, and what wakes it before. */
  #wakeTick = 0;
  #sleep = new AbortController();

  constructor(options: DeadlineWheelOptions<Item>) {
    this.#options = options;
  }

  /** Calls back when it is time; in the place of an earlier deadline of the item. */
  arm(item: Item, dueMs: number): void {
    this.disarm(item);
    if (!this.#turning) this.#tick = this.#tickOf(this.#options.clock.monotonicMs());
    // What is overdue comes with the next tick: its own slot has gone by.
    item.dueMs = Math.max(dueMs, this.#tick * this.#options.tickMs);
    this.#slotOf(item).add(item);
    this.#count++;
    if (!this.#turning) void this.#turn();
    else if (this.#tickOf(item.dueMs) < this.#wakeTick) this.#sleep.abort();
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
    do {
      this.#wakeTick = this.#nextTick();
      const sleepMs = this.#wakeTick * tickMs - clock.monotonicMs();
      this.#sleep = new AbortController();
      // Late already: not before whoever arms has gone on, for nobody expects to be called back while he does.
      await (sleepMs > 0 ? clock.sleep(sleepMs, this.#sleep.signal) : Promise.resolve());
      const now = this.#tickOf(clock.monotonicMs());
      // Woken for an item that comes before all others: sleep again, until then.
      if (now < this.#wakeTick) continue;
      // Late by more than a round: each slot once.
      const first = Math.max(this.#tick, now - slotCount + 1);
      this.#tick = now;
      for (let tick = first; tick <= now; tick++) this.#giveUp(this.#slots[tick % slotCount] as Set<Item>, now);
    } while (this.#count > 0 && !this.#stopped.signal.aborted);
    this.#turning = false;
  }

  /** The next that has items, in this round or a later one. */
  #nextTick(): number {
    // What was armed for the tick that has just been comes with the one after it.
    if ((this.#slots[this.#tick % slotCount] as Set<Item>).size > 0) return this.#tick + 1;
    for (let tick = this.#tick + 1; tick < this.#tick + slotCount; tick++)
      if ((this.#slots[tick % slotCount] as Set<Item>).size > 0) return tick;
    return this.#tick + slotCount;
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
    this.#sleep.abort();
  }
}
