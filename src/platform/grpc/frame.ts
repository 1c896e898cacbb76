/** Bytes before a message in a gRPC stream: one for "not compressed", four for its length. */
export const prefixBytes = 5;

/** A message as it stands in a gRPC stream, from its parts in order: they are copied once, here. */
export function frameOf(...parts: readonly Uint8Array[]): Buffer {
  return frameStart(parts, 0);
}

/** The same, of which the last `bytesToCome` are sent from elsewhere. */
export function frameStart(parts: readonly Uint8Array[], bytesToCome: number): Buffer {
  const messageBytes = parts.reduce((total, part) => total + part.length, bytesToCome);
  const prefix = Buffer.alloc(prefixBytes);
  prefix.writeUInt32BE(messageBytes, 1);
  return Buffer.concat([prefix, ...parts]);
}
