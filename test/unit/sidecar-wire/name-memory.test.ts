import { expect, it } from 'vitest';
import { FieldName } from '../../../sidecar/wire/hpack/field-name.ts';
import { NameMemory } from '../../../sidecar/wire/hpack/name-memory.ts';

/** A name as it stands in a block: its length, then its text. */
function spelled(text: string): Buffer {
  return Buffer.concat([Buffer.from([text.length]), Buffer.from(text, 'latin1')]);
}

it('knows a name again wherever it stands', () => {
  const memory = new NameMemory();
  const name = new FieldName('x-correlation-id');
  const bytes = spelled(name.text);
  memory.keep(name, bytes, 0, bytes.length);
  const elsewhere = Buffer.concat([Buffer.from('before'), bytes, Buffer.from('after')]);
  expect(memory.find(elsewhere, 6, 6 + bytes.length)).toBe(name);
});

it('takes no other bytes for a name, whichever of them differs', () => {
  const memory = new NameMemory();
  const bytes = spelled('traceparent');
  memory.keep(new FieldName('traceparent'), bytes, 0, bytes.length);
  for (let at = 0; at < bytes.length; at++) {
    const other = Buffer.from(bytes);
    other[at] = (other[at] ?? 0) ^ 0x80;
    expect(memory.find(other, 0, other.length)).toBeUndefined();
  }
  expect(memory.find(bytes, 0, bytes.length - 1)).toBeUndefined();
});

it('keeps its own copy of what it is given', () => {
  const memory = new NameMemory();
  const bytes = spelled('x-first');
  memory.keep(new FieldName('x-first'), bytes, 0, bytes.length);
  bytes.write('x-other', 1, 'latin1');
  expect(memory.find(bytes, 0, bytes.length)).toBeUndefined();
  expect(memory.find(spelled('x-first'), 0, bytes.length)?.text).toBe('x-first');
});

it('keeps no long names, and one for each of its places', () => {
  const memory = new NameMemory();
  const long = spelled('x'.repeat(100));
  memory.keep(new FieldName('x'.repeat(100)), long, 0, long.length);
  expect(memory.find(long, 0, long.length)).toBeUndefined();
  const names = Array.from({ length: 10_000 }, (_none, index) => `name-${index}`);
  for (const name of names) memory.keep(new FieldName(name), spelled(name), 0, name.length + 1);
  const known = names.filter((name) => memory.find(spelled(name), 0, name.length + 1)?.text === name);
  expect(known.length).toBeGreaterThan(0);
  expect(known.length).toBeLessThanOrEqual(256);
});
