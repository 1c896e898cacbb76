import { sentFrameBytesMax } from './limits.ts';

/**
 * Memory that the connections of one server, or of one client, share: what one takes, the others cannot. It may also be
 * overdrawn, by what is known to be small; then nothing more is taken until it has come back.
 */
export class ByteBudget {
  readonly #bytes: number;
  #left: number;
  #sharers = 0;
  #shareBytes: number;

  constructor(bytes: number) {
    this.#bytes = bytes;
    this.#left = bytes;
    this.#shareBytes = bytes;
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

  /** One more connection is there. */
  join(): void {
    this.#sharers++;
    this.#divide();
  }

  leave(): void {
    this.#sharers--;
    this.#divide();
  }

  /**
   * What each connection may have in its socket, so that all together have no more than the budget: nobody knows beforehand
   * whose peer stops reading. One frame at least, or nothing would go out.
   */
  get shareBytes(): number {
    return this.#shareBytes;
  }

  #divide(): void {
    this.#shareBytes = Math.max(sentFrameBytesMax, this.#bytes / Math.max(1, this.#sharers));
  }
}
