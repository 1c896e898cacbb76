import { expect, it } from 'vitest';
import { HeaderDecoder } from '../../../sidecar/wire/hpack/header-decoder.ts';
import { HeaderEncoder } from '../../../sidecar/wire/hpack/header-encoder.ts';

const sizeUpdateTo64 = Buffer.from('3f21', 'hex');
/** `x-name: value` into the table, and then by its index. */
const added = Buffer.from('4006782d6e616d650576616c7565', 'hex');
const indexed = Buffer.from('be', 'hex');

function decode(decoder: HeaderDecoder, ...parts: readonly Buffer[]): string[] {
  const bytes = Buffer.concat(parts);
  return decoder.decode(bytes, 0, bytes.length).fields.map(({ name, value }) => `${name}: ${value}`);
}

it('announces a table that is smaller than the default before anything else', () => {
  const encoder = new HeaderEncoder({ tableBytesMax: 64, repeated: new Set() });
  encoder.allowTable(64);
  expect(Buffer.from(encoder.encode([]))).toEqual(sizeUpdateTo64);
  expect(encoder.encode([])).toHaveLength(0);
});

it('lets a peer use the default table until it knows that ours is smaller, and no longer', () => {
  const decoder = new HeaderDecoder({ tableBytesMax: 0, listBytesMax: 1_000 });
  expect(decode(decoder, added)).toEqual(['x-name: value']);
  expect(decode(decoder, indexed)).toEqual(['x-name: value']);
  decoder.limitTable();
  expect(() => decode(decoder, indexed)).toThrow('larger than we allow');
});

it('goes on with a peer that makes its table as small as it was told', () => {
  const decoder = new HeaderDecoder({ tableBytesMax: 64, listBytesMax: 1_000 });
  decode(decoder, added);
  decoder.limitTable();
  expect(decode(decoder, sizeUpdateTo64, indexed)).toEqual(['x-name: value']);
  expect(() => decode(decoder, Buffer.from('3f22', 'hex'))).toThrow('larger than we allow');
});
