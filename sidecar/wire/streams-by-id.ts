import type { Stream } from './stream.ts';

/**
 * The streams of a connection that are there, by their ids. The newest has a place of its own and comes into a map only when another
 * is opened: a call that is answered as soon as it is read never gets there, which saves a fifth of what its stream costs.
 */
export class StreamsById {
  /** Those that have been told that they stay. */
  readonly #older = new Map<number, Stream>();
  /** Those that came with what is being read; a map of their own, or all that are there would be looked through for them. A client's stay in it. */
  readonly #fresh = new Map<number, Stream>();
  /** The last that came, maybe in a read before this one; then it has been told. */
  #newest: Stream | undefined;
  #isNewestTold = false;

  get size(): number {
    return this.#older.size + this.#fresh.size + (this.#newest === undefined ? 0 : 1);
  }

  get(id: number): Stream | undefined {
    if (this.#newest !== undefined && this.#newest.id === id) return this.#newest;
    return this.#fresh.get(id) ?? this.#older.get(id);
  }

  /** A stream whose id is above all others. */
  add(stream: Stream): void {
    if (this.#newest !== undefined) {
      if (this.#isNewestTold) this.#older.set(this.#newest.id, this.#newest);
      else this.#fresh.set(this.#newest.id, this.#newest);
    }
    this.#newest = stream;
    this.#isNewestTold = false;
  }

  delete(stream: Stream): void {
    if (this.#newest === stream) this.#newest = undefined;
    else if (!this.#fresh.delete(stream.id)) this.#older.delete(stream.id);
  }

  /** All that was read has been looked at: tells each stream, once, that it is not one of those which end by then. */
  readEnded(): void {
    if (this.#fresh.size > 0) {
      for (const [id, stream] of this.#fresh) {
        // In one map only when it is told: it may end by that, and is deleted from one.
        this.#fresh.delete(id);
        this.#older.set(id, stream);
        stream.consumer?.stays?.();
      }
    }
    if (this.#newest === undefined || this.#isNewestTold) return;
    this.#isNewestTold = true;
    this.#newest.consumer?.stays?.();
  }

  /** The oldest first, as they are now: what is done with one may end others. */
  all(): Stream[] {
    const all = [...this.#older.values(), ...this.#fresh.values()];
    if (this.#newest !== undefined) all.push(this.#newest);
    return all;
  }
}
