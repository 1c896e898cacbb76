/**
 * What a peer may still send (RFC 9113 §6.9), of a stream or of a connection. What it sent comes back to it once it has been
 * used, half a window at a time: so a window bounds what is held for it.
 */
export class ReceiveWindow {
  readonly #bytesMax: number;
  #left: number;
  #used = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
    this.#left = bytesMax;
  }

  /** Takes what has come; false: the peer was not allowed to send it. */
  take(bytes: number): boolean {
    this.#left -= bytes;
    return this.#left >= 0;
  }

  /** Gives back what was used; answers by how much the peer should be told that the window has grown, 0 for not now. */
  giveBack(bytes: number): number {
    this.#used += bytes;
    if (this.#used * 2 < this.#bytesMax) return 0;
    const increment = this.#used;
    this.#used = 0;
    this.#left += increment;
    return increment;
  }
}
