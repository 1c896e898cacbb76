import { expect, it } from 'vitest';
import { HeaderDecoder } from '../../../sidecar/wire/hpack/header-decoder.ts';
import { huffmanEncode } from '../../../sidecar/wire/hpack/huffman-encode.ts';

const prefixMax = 0x7f;

/** A field that is in no table, both its strings in Huffman's code (RFC 7541 §6.2.2). */
function literal(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.of(0), encoded(name), encoded(value)]);
}

function encoded(text: string): Buffer {
  const code = Buffer.alloc(4 * text.length);
  const bytes = huffmanEncode(text, code, 0);
  const length: number[] = [];
  if (bytes < prefixMax) length.push(bytes);
  else {
    length.push(prefixMax);
    let rest = bytes - prefixMax;
    for (; rest >= 0x80; rest >>>= 7) length.push((rest & 0x7f) | 0x80);
    length.push(rest);
  }
  length[0] = (length[0] as number) | 0x80;
  return Buffer.concat([Buffer.from(length), code.subarray(0, bytes)]);
}

it('reads a name that is longer than any string before it, and nothing of those', () => {
  const decoder = new HeaderDecoder({ tableBytesMax: 4_096, listBytesMax: 100_000 });
  const before = literal('authorization', 'Bearer of somebody else');
  decoder.decode(before, 0, before.length);
  const name = 'long-name-'.repeat(1_500);
  const block = literal(name, 'value');
  expect(decoder.decode(block, 0, block.length).get(name)).toBe('value');
});
