import { byteHash } from '../../src/wire/byte-hash.ts';
import type { Span } from './group-block.ts';

/** Something with a name in bytes, which stays the same while it is in an index. */
export interface Named {
  readonly name: Span;
  isNamed(bytes: Buffer, start: number, end: number): boolean;
}

const placesMin = 16;

/**
 * Entries by the bytes of their names, as they stand in a request: no text is made, hashed or compared to find one. Half empty at least,
 * with what does not fit its place in the next free one (linear probing); what is deleted leaves no mark, those behind it move up. Of
 * 50,000 entries asked for at random each find touches two places that no cache of the processor has, and then the entry; a Map of
 * joined texts touches six.
 */
export class GroupIndex<Entry extends Named> {
  #hashes = new Int32Array(placesMin);
  #entries: (Entry | undefined)[] = emptyPlaces(placesMin);
  #size = 0;

  find(bytes: Buffer, start: number, end: number): Entry | undefined {
    const entries = this.#entries;
    const mask = entries.length - 1;
    const hash = byteHash(bytes, start, end);
    for (let place = hash & mask; ; place = (place + 1) & mask) {
      // Most others are told by their hashes: 0 may be a free place as well.
      const seen = this.#hashes[place];
      if (seen !== hash && seen !== 0) continue;
      const entry = entries[place];
      if (entry === undefined) return undefined;
      if (seen === hash && entry.isNamed(bytes, start, end)) return entry;
    }
  }

  /** There must be none of that name. */
  add(entry: Entry): void {
    if (2 * (this.#size + 1) > this.#entries.length) this.#grow();
    const { buffer, start, end } = entry.name;
    this.#put(entry, byteHash(buffer, start, end));
    this.#size++;
  }

  delete(entry: Entry): void {
    const { buffer, start, end } = entry.name;
    const mask = this.#entries.length - 1;
    let free = byteHash(buffer, start, end) & mask;
    while (this.#entries[free] !== entry) {
      if (this.#entries[free] === undefined) return;
      free = (free + 1) & mask;
    }
    this.#size--;
    for (let place = (free + 1) & mask; this.#entries[place] !== undefined; place = (place + 1) & mask) {
      const hash = this.#hashes[place] ?? 0;
      // It may move up unless its own place lies between.
      if (((place - hash) & mask) < ((place - free) & mask)) continue;
      this.#entries[free] = this.#entries[place];
      this.#hashes[free] = hash;
      free = place;
    }
    this.#entries[free] = undefined;
    this.#hashes[free] = 0;
  }

  clear(): void {
    this.#hashes = new Int32Array(placesMin);
    this.#entries = emptyPlaces(placesMin);
    this.#size = 0;
  }

  #put(entry: Entry, hash: number): void {
    const mask = this.#entries.length - 1;
    let place = hash & mask;
    while (this.#entries[place] !== undefined) place = (place + 1) & mask;
    this.#entries[place] = entry;
    this.#hashes[place] = hash;
  }

  #grow(): void {
    const [hashes, entries] = [this.#hashes, this.#entries];
    this.#hashes = new Int32Array(2 * entries.length);
    this.#entries = emptyPlaces(2 * entries.length);
    for (const [place, entry] of entries.entries()) if (entry !== undefined) this.#put(entry, hashes[place] ?? 0);
  }
}

function emptyPlaces<Entry>(count: number): (Entry | undefined)[] {
  return Array.from({ length: count }, () => undefined);
}
