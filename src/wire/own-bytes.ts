/**
 * A copy that shares its memory with nothing else. Copies of less than 32 KiB otherwise stand in pieces of 64 KiB, together with whatever
 * was copied just before and after: the 1,000 changes of a window that came between lookups held on to 65 MB of them, not to 0.8.
 */
export function ownBytes(bytes: Uint8Array): Buffer {
  const own = Buffer.allocUnsafeSlow(bytes.length);
  own.set(bytes);
  return own;
}
