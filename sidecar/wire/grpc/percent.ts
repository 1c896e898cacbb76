/** `grpc-message`: UTF-8, of which everything but printable ASCII, and the percent sign itself, is written as %XX. */
export function percentEncode(text: string): string {
  if (/^(?! )[\u0020-\u0024\u0026-\u007E]*$/.test(text) && !text.endsWith(' ')) return text;
  let encoded = '';
  const bytes = Buffer.from(text);
  for (const [at, byte] of bytes.entries()) {
    // A field that begins or ends with a space is malformed (RFC 9113 §8.2.1).
    const isAtEnd = at === 0 || at === bytes.length - 1;
    const isPlain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25 && !(byte === 0x20 && isAtEnd);
    encoded += isPlain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

/** The text of a `grpc-message`. What is no encoding is taken as it stands: a message must never be lost for its form. */
export function percentDecode(encoded: string): string {
  if (!encoded.includes('%')) return encoded;
  const latin1 = encoded.replace(/%([0-9A-Fa-f]{2})/g, (_all, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(latin1, 'latin1').toString('utf8');
}
