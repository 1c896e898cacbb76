/** Bytes of a whole number of 0 or more as a varint: seven bits each, the lowest first. */
export function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++;
  return bytes;
}

/** Writes it; where it ends. Revisions have up to 53 bits, so this divides where shifting would cut them off. */
export function writeVarint(buffer: Buffer, value: number, at: number): number {
  let end = at;
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) buffer[end++] = (rest % 0x80) | 0x80;
  buffer[end++] = rest;
  return end;
}

/** Reads one that is whole, of up to 49 bits; it is {@link varintBytes} long. */
export function readVarint(bytes: Uint8Array, at: number): number {
  let value = 0;
  let next = at;
  for (let factor = 1; ; factor *= 0x80) {
    const byte = bytes[next++] ?? 0;
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return value;
  }
}
