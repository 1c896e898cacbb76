import type { FieldName } from './field-name.ts';

/** Names that are kept, each in the place that its bytes come to: 256 x (64 B + about 200 B of objects), 66 KiB. */
const places = 256;
const bytesMax = 64;

type Known = { readonly bytes: Uint8Array; readonly name: FieldName };

/**
 * Knows names by the bytes that they came in: length, form and text. Calls differ in the values of their fields, and hardly ever in
 * the names: a name that is known needs no string, no hash of it and no pattern. Names are no secrets, so all connections share it;
 * who drives the names of others out costs them what it cost before there was a memory.
 */
export class NameMemory {
  readonly #known: (Known | undefined)[] = Array.from({ length: places }, () => undefined);

  find(buffer: Uint8Array, from: number, to: number): FieldName | undefined {
    if (to - from > bytesMax) return undefined;
    const known = this.#known[placeOf(buffer, from, to)];
    if (known === undefined || known.bytes.length !== to - from) return undefined;
    const { bytes } = known;
    for (let index = bytes.length - 1; index >= 0; index--) if (bytes[index] !== buffer[from + index]) return undefined;
    return known.name;
  }

  keep(name: FieldName, buffer: Uint8Array, from: number, to: number): void {
    if (to - from <= bytesMax)
      this.#known[placeOf(buffer, from, to)] = { bytes: Uint8Array.from(buffer.subarray(from, to)), name };
  }
}

/** Of its length and three of its bytes: enough to tell most names from each other. */
function placeOf(buffer: Uint8Array, from: number, to: number): number {
  const length = buffer[from] as number;
  const second = buffer[Math.min(from + 3, to - 1)] as number;
  const middle = buffer[(from + to) >>> 1] as number;
  const last = buffer[to - 1] as number;
  const mixed = Math.imul((length << 24) ^ (second << 16) ^ (middle << 8) ^ last, 0x9e3779b1);
  return (mixed >>> 24) & (places - 1);
}
