import { expect, test } from 'vitest';
import { FieldWalk } from '../../../src/wire/field-walk.ts';

/** The tag and the value of each field. */
function walkOver(bytes: Buffer): [number, string][] {
  const fields: [number, string][] = [];
  const walk = new FieldWalk(bytes, 0, bytes.length);
  while (walk.next()) fields.push([walk.tag, bytes.toString('hex', walk.start, walk.end)]);
  return fields;
}

test('a tag and a length in more bytes than they need are read as in fewer', () => {
  expect(walkOver(Buffer.from('8a008100412801', 'hex'))).toEqual([
    [0x0a, '41'],
    [0x28, '01'],
  ]);
});

/** More bytes than a number of the processor has room for: Infinity, or NaN where it ends with nothing. */
const endless = (last: number): Buffer => Buffer.concat([Buffer.alloc(200, 0xff), Buffer.of(last)]);
const endlessNothing = Buffer.concat([Buffer.alloc(200, 0x80), Buffer.of(0)]);

const noMessages = {
  'with a tag that does not end': endless(1),
  'with a length that does not end': Buffer.concat([Buffer.of(0x0a), endless(1)]),
  'with a length of nothing that does not end': Buffer.concat([Buffer.of(0x0a), endlessNothing]),
  'with a number that does not end': Buffer.concat([Buffer.of(0x10), endless(1)]),
  'with a field without a number': Buffer.of(0x00, 0x00),
  'with a field number of more than 32 bits': Buffer.from('ffffffffffffffffff0100', 'hex'),
  'with a length of more than 2^31': Buffer.from('0affffffff7f', 'hex'),
  'with a negative length': Buffer.from('0affffffffffffffffff01', 'hex'),
  'with a group': Buffer.of(0x0b, 0x0c),
};

test.each(Object.entries(noMessages))('a message %s is refused', (_, bytes) => {
  expect(() => walkOver(bytes)).toThrow(Error);
});
