import fc from 'fast-check';
import { RE2JS, RE2JSException } from 're2js';
import { expect, test } from 'vitest';
import { limits } from '../../src/domain/limits.ts';
import { regexCost } from '../../src/domain/regex/regex-cost.ts';
import { compileRegexes, regexFault } from '../../src/domain/regex/re2.ts';

/** A regex in a syntax that JavaScript and RE2 read alike, over few letters, so that texts often match. */
const sharedRegex = fc.letrec<{ regex: string }>((tie) => ({
  regex: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom('a', 'b', '.', '', '\\w', '[ab]', '[^a]', '[a-c]', '\\d', '\\.', '$', '^', '\\b'),
    fc.tuple(tie('regex'), tie('regex')).map(([left, right]) => left + right),
    fc.tuple(tie('regex'), tie('regex')).map(([left, right]) => `(?:${left}|${right})`),
    fc
      .tuple(tie('regex'), fc.constantFrom('*', '+', '?', '*?', '+?', '{2}', '{0,2}', '{1,}', '{0}'))
      .map(([inner, times]) => `(${inner})${times}`),
  ),
})).regex;

const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '1', '.', '-'), maxLength: 12 });

test('regexes mean what they mean everywhere, alone and together, and match whole texts only', () => {
  const someRegexes = fc.array(sharedRegex, { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(someRegexes, fc.array(text, { minLength: 1, maxLength: 20 }), (regexes, texts) => {
      // The engine of V8 backtracks: the texts are short.
      const engines = regexes.map((regex) => new RegExp(`^(?:${regex})$`, 'u'));
      const matches = compileRegexes(regexes);
      for (const each of texts) {
        const expected = [...engines.keys()].filter((place) => engines[place]?.test(each));
        expect(matches(each), `${regexes.join('   ')} on ${each}`).toEqual(expected);
      }
    }),
    { numRuns: 2_000 },
  );
});

/** Anything at all, made of what has a meaning in a regex. */
const anyRegex = fc.oneof(
  sharedRegex,
  fc.string({
    unit: fc.constantFrom(
      ...'ab01,-.^$|*+?(){}[]\\:<>=!PQEpLdwsxiU é𝒳'.split(''),
      '\\p{L}',
      '\\pN',
      '[[:alpha:]]',
      '\\Q',
      '\\E',
      '(?i)',
      '(?P<n>',
      '(?:',
      '{3,7}',
      '{40}',
      '{2,}',
      '\\x{1F600}',
      '\\x41',
      '[^',
    ),
    maxLength: 30,
  }),
);

test('a regex never has more instructions than its cost says', () => {
  let compiled = 0;
  fc.assert(
    fc.property(anyRegex, (regex) => {
      const cost = regexCost(regex);
      let size: number;
      try {
        size = RE2JS.compile(regex).programSize();
      } catch (error) {
        expect(error).toBeInstanceOf(RE2JSException);
        return;
      }
      compiled++;
      expect(size, regex).toBeLessThanOrEqual(cost);
    }),
    { numRuns: 10_000 },
  );
  expect(compiled).toBeGreaterThan(2_500);
});

test('every text is a regex, or is refused with a reason; refused ones match nothing, and do not disturb the others', () => {
  fc.assert(
    fc.property(fc.oneof(anyRegex, fc.string({ maxLength: 40, unit: 'binary' })), text, (regex, value) => {
      const fault = regexFault(regex);
      expect(fault?.startsWith('is ') ?? true, fault).toBe(true);
      const places = compileRegexes(['.*', regex, '[^z]*', regex, 'zzz'])(value);
      const isMatch = places.includes(1);
      if (fault !== undefined) expect(isMatch).toBe(false);
      expect(places).toEqual(isMatch ? [0, 1, 2, 3] : [0, 2]);
    }),
    { numRuns: 2_000 },
  );
});

test('plain texts, classes and repetitions of ordinary size are cheap', () => {
  for (const regex of [
    'a'.repeat(limits.regexLengthMax),
    '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}',
    '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?',
    String.raw`.*(iPhone|Android) [0-9]+(\.[0-9]+){0,3}.*`,
    String.raw`(?i)[\pL\pN._%+-]+@[a-z0-9.-]+\.[a-z]{2,24}`,
  ]) {
    expect(regexFault(regex), regex).toBeUndefined();
  }
});
