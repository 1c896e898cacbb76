import type { HeaderField } from './header-field.ts';

/** What a table may take until something else is said: RFC 9113 §6.5.2. */
export const tableBytesDefault = 4_096;
const ringLengthMin = 8;

/**
 * The dynamic table of one direction of a connection: RFC 7541 §2.3.2 and §4. A ring, the newest entry first; it never holds
 * more than `bytesMax / 32` entries, because each counts as 32 bytes at least.
 */
export class DynamicTable {
  /** Its length is a power of two: a number's place in it is a few bits of the number. */
  #ring: (HeaderField | undefined)[] = [];
  #mask = 0;
  /** Fields ever added. The newest has this number; index 1 of the table is it. */
  #added = 0;
  #count = 0;
  #bytes = 0;
  #bytesMax: number;
  #version = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get bytesMax(): number {
    return this.#bytesMax;
  }

  /** How many fields were ever added: the number of the newest. */
  get added(): number {
    return this.#added;
  }

  /** Another one whenever an index may have come to mean something else. */
  get version(): number {
    return this.#version;
  }

  /** The field at an index from 1; undefined: there is none. */
  at(index: number): HeaderField | undefined {
    if (index < 1 || index > this.#count) return undefined;
    return this.#ring[(this.#added - index) & this.#mask];
  }

  /** Whether the field that was added with this number is still there. */
  holds(number: number): boolean {
    return number > this.#added - this.#count;
  }

  add(field: HeaderField): void {
    this.#version++;
    // §4.4: a field larger than the table empties it, and is not added.
    this.#evictTo(this.#bytesMax - field.bytes);
    if (field.bytes > this.#bytesMax) return;
    if (this.#count === this.#ring.length) this.#grow();
    this.#ring[this.#added & this.#mask] = field;
    this.#added++;
    this.#count++;
    this.#bytes += field.bytes;
  }

  resize(bytesMax: number): void {
    this.#version++;
    this.#bytesMax = bytesMax;
    this.#evictTo(bytesMax);
  }

  #evictTo(bytes: number): void {
    while (this.#count > 0 && this.#bytes > bytes) {
      const oldest = (this.#added - this.#count) & this.#mask;
      this.#bytes -= this.#ring[oldest]?.bytes ?? 0;
      this.#ring[oldest] = undefined;
      this.#count--;
    }
  }

  #grow(): void {
    const ring: (HeaderField | undefined)[] = Array.from({ length: Math.max(ringLengthMin, this.#ring.length * 2) });
    const mask = ring.length - 1;
    for (let number = this.#added - this.#count; number < this.#added; number++)
      ring[number & mask] = this.#ring[number & this.#mask];
    this.#ring = ring;
    this.#mask = mask;
  }
}
