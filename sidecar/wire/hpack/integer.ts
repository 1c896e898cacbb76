import { ConnectionError } from '../error-code.ts';

/**
 * Reads the integers of RFC 7541 §5.1 one after the other. Nothing that we take is larger than 2^28, so four bytes after the
 * prefix are enough, and more are refused: they are how one overflows a decoder.
 */
export class IntegerReader {
  /** Where the next byte is. */
  at = 0;

  /** `prefix`: the value of the bits that the first byte, which has been read, has for it. `mask`: all of them set. */
  read(buffer: Uint8Array, end: number, prefix: number, mask: number): number {
    if (prefix < mask) return prefix;
    let value = prefix;
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.at >= end) throw new ConnectionError('COMPRESSION_ERROR', 'an integer ends in its middle');
      const byte = buffer[this.at++] as number;
      value += (byte & 0x7f) << shift;
      if ((byte & 0x80) === 0) return value;
    }
    throw new ConnectionError('COMPRESSION_ERROR', 'an integer is longer than any that is needed');
  }
}

/** An integer to write: `flags` are the bits of the first byte before the prefix, whose bits are all set in `mask`. */
export type IntegerShape = { readonly flags: number; readonly mask: number };

/** Writes an integer; answers where it ends. */
export function writeInteger(target: Uint8Array, at: number, value: number, { flags, mask }: IntegerShape): number {
  let end = at;
  if (value < mask) {
    target[end++] = flags | value;
    return end;
  }
  target[end++] = flags | mask;
  let rest = value - mask;
  while (rest >= 0x80) {
    target[end++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  target[end++] = rest;
  return end;
}
