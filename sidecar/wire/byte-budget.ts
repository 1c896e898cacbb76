import { sentFrameBytesMax } from './limits.ts';

/** What each of those that share a budget has besides, for itself, and how many of them may. */
export type OwnShares = { readonly bytes: number; readonly countMax: number };

const noShares: OwnShares = { bytes: 0, countMax: 0 };

/**
 * Memory that the connections of one server, or of one client, share: what one takes, the others cannot. It may also be
 * overdrawn, by what is known to be small; then nothing more is taken until it has come back.
 */
export class ByteBudget {
  readonly #bytes: number;
  readonly #own: OwnShares;
  #left: number;
  #ownLeft: number;
  #sharers = 0;
  #socketBytes: number;

  constructor(bytes: number, own: OwnShares = noShares) {
    this.#bytes = bytes;
    this.#left = bytes;
    this.#socketBytes = bytes;
    this.#own = own;
    this.#ownLeft = own.bytes * own.countMax;
  }

  /** False: there are not so many left, and none were taken. */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  /** Takes what is there already, whether there is room for it or not: ask `isSpent`. */
  charge(bytes: number): void {
    this.#left -= bytes;
  }

  get isSpent(): boolean {
    return this.#left < 0;
  }

  give(bytes: number): void {
    this.#left += bytes;
  }

  /**
   * One more connection is there. Answers what it has for itself: nothing, when those that have gone still hold it all. Otherwise
   * who comes and goes could make handlers work with more memory than there may be.
   */
  join(): number {
    this.#sharers++;
    this.#divide();
    const { bytes } = this.#own;
    if (bytes > this.#ownLeft) return 0;
    this.#ownLeft -= bytes;
    return bytes;
  }

  leave(): void {
    this.#sharers--;
    this.#divide();
  }

  /** Some of what a connection had for itself is there for another. */
  giveOwn(bytes: number): void {
    this.#ownLeft += bytes;
  }

  /**
   * What each connection may have in its socket, so that all together have no more than the budget: nobody knows beforehand
   * whose peer stops reading. One frame at least, or nothing would go out.
   */
  get socketBytes(): number {
    return this.#socketBytes;
  }

  #divide(): void {
    // Whole bytes, for what goes out is cut by it.
    this.#socketBytes = Math.max(sentFrameBytesMax, Math.floor(this.#bytes / Math.max(1, this.#sharers)));
  }
}
