/** How a stream that is no more came to its end. `unknown`: long ago, or it never was. */
export type ClosedBy = 'end' | 'our_reset' | 'their_reset' | 'unknown';

const kinds = ['unknown', 'end', 'our_reset', 'their_reset'] as const satisfies readonly ClosedBy[];
const numbers = { unknown: 0, end: 1, our_reset: 2, their_reset: 3 } as const satisfies Record<ClosedBy, number>;

/**
 * The streams that were closed last, of which frames may still be under way: RFC 9113 §5.1 wants them ignored after our reset,
 * and refused after an end. 5 B a stream, from the first that closes.
 */
export class ClosedStreams {
  readonly #count: number;
  #ids: Uint32Array | undefined;
  #kinds: Uint8Array | undefined;
  #next = 0;

  constructor(count: number) {
    this.#count = count;
  }

  add(id: number, by: ClosedBy): void {
    this.#ids ??= new Uint32Array(this.#count);
    this.#kinds ??= new Uint8Array(this.#count);
    this.#ids[this.#next] = id;
    this.#kinds[this.#next] = numbers[by];
    this.#next = (this.#next + 1) % this.#count;
  }

  find(id: number): ClosedBy {
    const index = this.#ids?.indexOf(id) ?? -1;
    return kinds[this.#kinds?.[index] ?? 0] ?? 'unknown';
  }
}
