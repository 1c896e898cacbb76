import { codeLengths, codes } from './huffman-code.ts';

/** Bytes that a string (latin1) takes in Huffman code. */
export function huffmanBytes(text: string): number {
  let bits = 0;
  for (let index = 0; index < text.length; index++) bits += codeLengths[text.charCodeAt(index)] as number;
  return (bits + 7) >>> 3;
}

/** Writes a string (latin1) in Huffman code, padded with ones (RFC 7541 §5.2); answers where it ends. */
export function huffmanEncode(text: string, target: Uint8Array, at: number): number {
  let end = at;
  let pending = 0;
  let pendingBits = 0;
  for (let index = 0; index < text.length; index++) {
    const symbol = text.charCodeAt(index);
    const code = codes[symbol] as number;
    let bits = codeLengths[symbol] as number;
    // At most 7 bits wait, so 16 more fit into the 32 that bit operations have.
    while (bits > 0) {
      const taken = Math.min(bits, 16);
      bits -= taken;
      pending = (pending << taken) | ((code >>> bits) & ((1 << taken) - 1));
      pendingBits += taken;
      while (pendingBits >= 8) {
        pendingBits -= 8;
        target[end++] = pending >>> pendingBits;
      }
      pending &= (1 << pendingBits) - 1;
    }
  }
  if (pendingBits > 0) target[end++] = (pending << (8 - pendingBits)) | ((1 << (8 - pendingBits)) - 1);
  return end;
}
