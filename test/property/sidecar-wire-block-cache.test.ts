import fc from 'fast-check';
import { expect, it } from 'vitest';
import { BlockCache } from '../../sidecar/wire/block-cache.ts';
import type { HeaderList } from '../../sidecar/wire/header-list.ts';
import { HeaderDecoder } from '../../sidecar/wire/hpack/header-decoder.ts';

// What is taken for known must be what decoding says: a field that is another one is a lookup with another one's answer.

const limits = { tableBytesMax: 4_096, listBytesMax: 16_384 };
const firstOfTable = 62;

/** A literal that the table takes. */
function added(name: string, value: string): Buffer {
  const text = (content: string): Buffer => Buffer.concat([Buffer.from([content.length]), Buffer.from(content)]);
  return Buffer.concat([Buffer.from([0x40]), text(name), text(value)]);
}

/** A field by its index in the table, the newest first. */
function indexed(age: number): Buffer {
  return Buffer.from([0x80 | (firstOfTable + age)]);
}

const resized = (bytes: number): Buffer => Buffer.from([0x20 | bytes]);
const shown = ({ fields }: HeaderList): string[] => fields.map(({ name, value }) => `${name}: ${value}`);

function decode(decoder: { decode: HeaderDecoder['decode'] }, block: Buffer): string[] | string {
  try {
    return shown(decoder.decode(block, 0, block.length));
  } catch (error) {
    return String(error);
  }
}

it('decodes bytes again that have come to mean another field', () => {
  const cache = new BlockCache(new HeaderDecoder(limits));
  decode(cache, added('x-user', 'one'));
  expect([decode(cache, indexed(0)), decode(cache, indexed(0))]).toEqual([['x-user: one'], ['x-user: one']]);
  decode(cache, added('x-user', 'two'));
  expect(decode(cache, indexed(0))).toEqual(['x-user: two']);
});

it('decodes bytes each time that add to the table', () => {
  const cache = new BlockCache(new HeaderDecoder(limits));
  for (let count = 0; count < 3; count++) decode(cache, added('x-user', 'one'));
  expect(decode(cache, indexed(2))).toEqual(['x-user: one']);
});

const part = fc.oneof(
  { weight: 6, arbitrary: fc.nat(3).map(indexed) },
  { weight: 1, arbitrary: fc.constantFrom('one', 'two', 'three').map((value) => added('x-user', value)) },
  { weight: 2, arbitrary: fc.constant(Buffer.from([0x82])) },
);
const block = fc.oneof(
  { weight: 40, arbitrary: fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => Buffer.concat(parts)) },
  { weight: 1, arbitrary: fc.constant(resized(0)) },
);

it('says what decoding each block says, in whatever order they come, and come again', () => {
  fc.assert(
    fc.property(fc.array(block, { minLength: 5, maxLength: 60 }), (blocks) => {
      const [plain, cache] = [new HeaderDecoder(limits), new BlockCache(new HeaderDecoder(limits))];
      // Something at each index that is asked for: an error would end it at once.
      const filling = ['one', 'two', 'three', 'four'].map((value) => added('x-user', value));
      for (const each of [...filling, ...blocks]) {
        const expected = decode(plain, each);
        expect(decode(cache, each)).toEqual(expected);
        // An error ends the connection: nothing is decoded after it.
        if (typeof expected === 'string') return;
      }
    }),
    { numRuns: 500, seed: 20_261_122 },
  );
});
