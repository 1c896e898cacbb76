/** `grpc-message`: UTF-8, of which everything but printable ASCII, and the percent sign itself, is written as %XX. */
export function percentEncode(text: string): string {
  if (/^[\u0020-\u0024\u0026-\u007E]*$/.test(text)) return text;
  let encoded = '';
  for (const byte of Buffer.from(text)) {
    const isPlain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
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
