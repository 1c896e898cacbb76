import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RememberedTexts } from '../../src/wire/remembered-texts.ts';

// Few letters and many texts, so that they share slots.
const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '-'), minLength: 1, maxLength: 5 });

test('a text is never taken for another one, whichever was read before', () => {
  let remembered = 0;
  fc.assert(
    fc.property(fc.array(text, { minLength: 1_000, maxLength: 2_000 }), (all) => {
      const texts = new RememberedTexts();
      let before = '';
      for (const each of all) {
        const bytes = Buffer.from(`(${each})`);
        expect(texts.read(bytes, 1, bytes.length - 1)).toBe(each);
        if (texts.read(Buffer.from(before), 0, before.length) === before) remembered++;
        before = each;
      }
    }),
    // Nobody reads an example of thousands of texts, and making it smaller takes minutes.
    { numRuns: 20, seed: 3, endOnFailure: true },
  );
  // Else this would prove nothing.
  expect(remembered).toBeGreaterThan(20 * 1_000);
});

test('what is not printable ASCII is not read, nor taken for what was read before it', () => {
  const texts = new RememberedTexts();
  expect(texts.read(Buffer.from('v1'), 0, 2)).toBe('v1');
  for (const odd of ['\u0007', 'v\u007f', '\u00e9', '\u0000'])
    expect(texts.read(Buffer.from(odd), 0, Buffer.byteLength(odd))).toBe('');
  expect(texts.read(Buffer.from('v1'), 0, 2)).toBe('v1');
  expect(texts.read(Buffer.from('v1'), 1, 1)).toBe('');
});
