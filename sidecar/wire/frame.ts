/** Frame types: RFC 9113 §6. */
export const frameTypes = {
  DATA: 0x0,
  HEADERS: 0x1,
  PRIORITY: 0x2,
  RST_STREAM: 0x3,
  SETTINGS: 0x4,
  PUSH_PROMISE: 0x5,
  PING: 0x6,
  GOAWAY: 0x7,
  WINDOW_UPDATE: 0x8,
  CONTINUATION: 0x9,
} as const;

/** Flags: RFC 9113 §6. Two names share a bit: no frame has both. */
export const frameFlags = { END_STREAM: 0x1, ACK: 0x1, END_HEADERS: 0x4, PADDED: 0x8, PRIORITY: 0x20 } as const;

/** Length, type, flags and stream: RFC 9113 §4.1. */
export const frameHeaderBytes = 9;

/** What a client says first: RFC 9113 §3.4. */
export const clientPreface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/**
 * A frame as it stands in the buffer that was read: its payload is `buffer` from `start` to `end`. One object is used for all
 * frames of a connection, so what is needed later must be copied.
 */
export type Frame = {
  type: number;
  flags: number;
  streamId: number;
  buffer: Buffer;
  start: number;
  end: number;
};

/** A 31-bit number; the bit above it is reserved and ignored. */
export function readUint31(buffer: Buffer, at: number): number {
  return readUint32(buffer, at) & 0x7fffffff;
}

export function readUint32(buffer: Buffer, at: number): number {
  return (
    (((buffer[at] as number) << 24) |
      ((buffer[at + 1] as number) << 16) |
      ((buffer[at + 2] as number) << 8) |
      (buffer[at + 3] as number)) >>>
    0
  );
}

export function writeUint32(buffer: Buffer, at: number, value: number): void {
  buffer[at] = value >>> 24;
  buffer[at + 1] = value >>> 16;
  buffer[at + 2] = value >>> 8;
  buffer[at + 3] = value;
}
