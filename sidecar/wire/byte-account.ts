import type { ByteBudget } from './byte-budget.ts';

/**
 * What one connection has of the budget that all share: first what is its own, whatever the others do, and beyond that what they
 * have left. Nobody can starve another: who spends all that is shared takes it from those that want more than their own.
 */
export class ByteAccount {
  readonly #budget: ByteBudget;
  readonly #ownBytes: number;
  #takenBytes = 0;
  #isClosed = false;

  constructor(budget: ByteBudget) {
    this.#budget = budget;
    this.#ownBytes = budget.join();
  }

  /** False: there are not so many left, and none were taken. */
  take(bytes: number): boolean {
    const beyond = this.#takenBytes + bytes - this.#ownBytes;
    if (beyond > 0 && !this.#budget.take(Math.min(bytes, beyond))) return false;
    this.#takenBytes += bytes;
    return true;
  }

  /** Takes what is there already, whether there is room for it or not: ask `isSpent`. */
  charge(bytes: number): void {
    this.#takenBytes += bytes;
    const beyond = this.#takenBytes - this.#ownBytes;
    if (beyond > 0) this.#budget.charge(Math.min(bytes, beyond));
  }

  /** Whether there is nothing left, of its own or of what is shared. */
  get isSpent(): boolean {
    return this.#takenBytes > this.#ownBytes && this.#budget.isSpent;
  }

  give(bytes: number): void {
    const shared = Math.min(bytes, Math.max(0, this.#takenBytes - this.#ownBytes));
    this.#takenBytes -= bytes;
    if (shared > 0) this.#budget.give(shared);
    if (this.#isClosed) this.#budget.giveOwn(bytes - shared);
  }

  /** What it may have in its socket. */
  get socketBytes(): number {
    return this.#budget.socketBytes;
  }

  /** The connection is no more. What is its own goes to another once nothing holds it: handlers may still work for calls of it. */
  close(): void {
    this.#isClosed = true;
    this.#budget.leave();
    this.#budget.giveOwn(Math.max(0, this.#ownBytes - this.#takenBytes));
  }
}
