/** Symbols: 256 octets, and the end of the string, which is never sent whole. */
export const endOfString = 256;

/**
 * Lengths in bits of the codes of all symbols, RFC 7541 appendix B. The code is canonical: shorter codes come first, those of
 * one length in the order of their symbols, so the lengths say it all.
 */
const lengthsText = `
13 23 28 28 28 28 28 28 28 24 30 28 28 30 28 28
28 28 28 28 28 28 30 28 28 28 28 28 28 28 28 28
6 10 10 12 13 6 8 11 10 10 8 11 8 6 6 6
5 5 5 6 6 6 6 6 6 6 7 8 15 6 12 10
13 6 7 7 7 7 7 7 7 7 7 7 7 7 7 7
7 7 7 7 7 7 7 7 8 7 8 13 19 13 14 6
15 5 6 5 6 5 6 6 6 5 7 7 6 6 6 5
6 7 6 5 5 6 7 7 7 7 7 15 11 14 13 28
20 22 20 20 22 22 22 23 22 23 23 23 23 23 24 23
24 24 22 23 24 23 23 23 23 21 22 23 22 23 23 24
22 21 20 22 22 23 23 21 23 22 22 24 21 22 23 23
21 21 22 21 23 22 23 23 20 22 22 22 23 22 22 23
26 26 20 19 22 23 22 25 26 26 26 27 27 26 24 25
19 21 26 27 27 26 27 24 21 21 26 26 28 27 27 27
20 24 20 21 22 21 21 23 22 22 25 25 24 24 26 23
26 27 26 26 27 27 27 27 27 28 27 27 27 27 27 26
30
`;

/** The length of each symbol's code, bits. */
export const codeLengths: Uint8Array = Uint8Array.from(lengthsText.trim().split(/\s+/), Number);

/** Each symbol's code, in its lowest bits. */
export const codes: Uint32Array = canonicalCodes(codeLengths);

function canonicalCodes(lengths: Uint8Array): Uint32Array {
  const result = new Uint32Array(lengths.length);
  const symbols = Array.from(lengths.keys()).toSorted(
    (left, right) => (lengths[left] as number) - (lengths[right] as number) || left - right,
  );
  let code = 0;
  let length = 0;
  for (const symbol of symbols) {
    const next = lengths[symbol] as number;
    code = (code << (next - length)) >>> 0;
    result[symbol] = code;
    length = next;
    code++;
  }
  return result;
}
