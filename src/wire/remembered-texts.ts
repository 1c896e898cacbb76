import { byteHash } from './byte-hash.ts';

/** A power of two. Tenants and versions are few and short: full of the longest names they take 16 KB. */
const slots = 256;

/**
 * Short texts as lookups spell them, remembered: the same few come again and again, and comparing bytes takes a tenth of making a text
 * of them, which in addition is another one each time, to be compared and hashed anew. Each has one slot, by its hash; the last to come
 * keeps it.
 */
export class RememberedTexts {
  readonly #slots: string[] = Array.from({ length: slots }, () => '');

  /** Printable ASCII; '' when it is not. */
  read(bytes: Buffer, start: number, end: number): string {
    const hash = byteHash(bytes, start, end);
    const slot = (hash ^ (hash >>> 8)) & (slots - 1);
    const known = this.#slots[slot] ?? '';
    if (isSpelled(known, bytes, start, end)) return known;
    const text = printableText(bytes, start, end);
    this.#slots[slot] = text;
    return text;
  }
}

function isSpelled(text: string, bytes: Buffer, start: number, end: number): boolean {
  if (text.length !== end - start) return false;
  for (let index = 0; index < text.length; index++) if (bytes[start + index] !== text.charCodeAt(index)) return false;
  return true;
}

/** Printable ASCII; '' when it is not. */
export function printableText(bytes: Buffer, start: number, end: number): string {
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (byte < 0x20 || byte > 0x7e) return '';
  }
  return bytes.toString('latin1', start, end);
}
