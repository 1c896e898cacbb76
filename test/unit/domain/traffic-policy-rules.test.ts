import { describe, expect, test } from 'vitest';
import { limits } from '../../../src/domain/limits.ts';
import type { AttributeMatch, MatchRule } from '../../../src/domain/match-rule.ts';
import {
  canonicalTrafficPolicyValue,
  validateTrafficPolicyValue,
  versionsNamedBy,
} from '../../../src/domain/traffic-policy.ts';
import { Violations } from '../../../src/domain/validation.ts';
import {
  attribute,
  exact,
  exampleFullPolicy,
  exampleRule,
  prefix,
  present,
  regex,
} from '../../fakes/example-traffic-policy.ts';
import { faultsOf, wrongFieldsOf } from './traffic-policy-violations.ts';

const rules = (...all: MatchRule[]): string[] => faultsOf({ defaultVersion: '', split: [], rules: all });
const matches = (...attributes: AttributeMatch[]): string[] => rules(exampleRule({ attributes }));
const times = <Item>(count: number, item: (index: number) => Item): Item[] =>
  Array.from({ length: count }, (_, index) => item(index));

describe('a policy', () => {
  test('has 64 rules at most', () => {
    expect(rules(...times(64, () => exampleRule()))).toEqual([]);
    expect(rules(...times(65, () => exampleRule({ version: '-' })))).toEqual([
      'policy.rules: has more than 64 entries',
    ]);
  });

  test('has 64 branches at most in each split', () => {
    const split = times(65, (index) => ({ version: `v${index}`, weight: 1 }));
    expect(rules(exampleRule({ split: split.slice(1) }))).toEqual([]);
    expect(rules(exampleRule({ split }))).toEqual(['policy.rules[0].split: has more than 64 branches']);
    expect(faultsOf({ defaultVersion: '', split, rules: [] })).toEqual(['policy.split: has more than 64 branches']);
  });

  test('has splits whose weights sum to more than 0, of whole weights from 0 to 10,000 and of different versions', () => {
    const split = (...branches: [version: string, weight: number][]) =>
      wrongFieldsOf({
        defaultVersion: 'v1',
        split: branches.map(([version, weight]) => ({ version, weight })),
        rules: [],
      });
    expect(split(['v1', 0], ['v2', 10_000])).toEqual([]);
    expect(split(['v1', 0], ['v2', 0])).toEqual(['policy.split']);
    expect(split(['v1', -1], ['v2', 10_001], ['v3', 0.5], ['v4', 1])).toEqual([
      'policy.split[0].weight',
      'policy.split[1].weight',
      'policy.split[2].weight',
    ]);
    expect(split(['v1', 1], ['v1', 1])).toEqual(['policy.split[1].version']);
    expect(rules(exampleRule({ split: [{ version: 'v1', weight: 0 }] }))).toEqual([
      'policy.rules[0].split: has weights that sum to 0',
    ]);
  });

  test('is 256 KiB at most, as text', () => {
    const value = (count: number) => ({
      defaultVersion: 'v1',
      split: [],
      rules: times(count, () =>
        exampleRule({ attributes: times(16, () => attribute('x', exact('a'.repeat(limits.attributeValueLengthMax)))) }),
      ),
    });
    expect(canonicalTrafficPolicyValue(value(15)).length).toBeLessThan(limits.policyBytesMax);
    expect(faultsOf(value(15))).toEqual([]);
    expect(faultsOf(value(16))).toEqual(['policy: is larger than 262144 bytes']);
  });
});

describe('a rule', () => {
  test('has a name of 63 characters at most, which is its own in the policy', () => {
    expect(
      rules(exampleRule({ name: 'n'.repeat(63) }), exampleRule({ name: 'N' }), exampleRule({ name: 'n' })),
    ).toEqual([]);
    expect(rules(exampleRule({ name: 'n'.repeat(64) }))).toEqual([
      'policy.rules[0].name: is longer than 63 characters',
    ]);
    expect(rules(exampleRule({ name: 'beta' }), exampleRule(), exampleRule(), exampleRule({ name: 'beta' }))).toEqual([
      'policy.rules[3].name: stands twice in this policy',
    ]);
    expect(rules(exampleRule({ name: 'a\nb' }))).toEqual(['policy.rules[0].name: holds control characters']);
    // Else nobody could tell it from the second rule.
    expect(rules(exampleRule({ name: '#1' }))).toEqual([
      'policy.rules[0].name: must not begin with #, as places of rules do',
    ]);
  });

  test('leads to a version or a split, and not to both', () => {
    const split = [{ version: 'v1', weight: 1 }];
    expect(rules(exampleRule({ version: 'v1' }), exampleRule({ split }))).toEqual([]);
    expect(rules(exampleRule({ version: '' }), exampleRule({ version: 'v1', split }))).toEqual([
      'policy.rules[0]: needs exactly one of version and split',
      'policy.rules[1]: needs exactly one of version and split',
    ]);
    expect(wrongFieldsOf({ defaultVersion: '', split: [], rules: [exampleRule({ version: '-' })] })).toEqual([
      'policy.rules[0].version',
    ]);
  });

  test.each(['', 'shop.Cart/Add', 'shop.Cart/*', 'Cart/Add', 'a.b.c.D_1/_e2', `shop.${'C'.repeat(249)}/A`])(
    'may have the method %j',
    (method) => {
      expect(rules(exampleRule({ method }))).toEqual([]);
    },
  );
  test.each([
    '*',
    '/shop.Cart/Add',
    'shop.Cart',
    'shop.Cart/',
    'shop.Cart/A*',
    'shop.*/Add',
    '*/Add',
    'shop..Cart/Add',
    'shop.Cart/Add ',
    'shop.Cart/Add\n',
    'shop.Cart/Add/*',
    '1shop.Cart/Add',
    `shop.${'C'.repeat(250)}/A`,
  ])('may not have the method %j', (method) => {
    expect(rules(exampleRule({ method }))).toEqual([
      'policy.rules[0].method: must be such as shop.Cart/Add or shop.Cart/*, 256 characters at most',
    ]);
  });

  test('has 16 conditions at most', () => {
    const conditions = times(17, () => attribute('x', present()));
    expect(matches(...conditions.slice(1))).toEqual([]);
    expect(matches(...conditions)).toEqual(['policy.rules[0].attributes: has more than 16 entries']);
  });
});

describe('a condition', () => {
  test('has the name of an attribute, of 1 to 63 characters', () => {
    expect(
      matches(attribute('x', present()), attribute('X-Any.Thing:', present()), attribute('n'.repeat(63), present())),
    ).toEqual([]);
    expect(matches(attribute('', present()), attribute('n'.repeat(64), present()))).toEqual([
      'policy.rules[0].attributes[0].name: is required',
      'policy.rules[0].attributes[1].name: is longer than 63 characters',
    ]);
  });

  test('has exactly one predicate', () => {
    expect(matches(attribute('x', { kind: 'unrecognized' }))).toEqual([
      'policy.rules[0].attributes[0]: needs one of exact, prefix, regex and present',
    ]);
  });

  test.each([
    ['exact', exact, 1_024],
    ['prefix', prefix, 1_024],
    ['regex', regex, 512],
  ] as const)('%s takes a text of %3$d characters at most', (field, predicate, lengthMax) => {
    expect(matches(attribute('x', predicate('')), attribute('x', predicate('a'.repeat(lengthMax))))).toEqual([]);
    expect(matches(attribute('x', predicate('a'.repeat(lengthMax + 1))))).toContain(
      `policy.rules[0].attributes[0].${field}: is longer than ${lengthMax} characters`,
    );
    expect(matches(attribute('x', predicate('a\u0000')))).toEqual([
      `policy.rules[0].attributes[0].${field}: holds control characters`,
    ]);
    expect(matches(attribute('x', predicate('\uFFFD')))).toEqual([
      `policy.rules[0].attributes[0].${field}: is not valid UTF-8, or holds U+FFFD`,
    ]);
  });
});

describe('a regex', () => {
  const field = 'policy.rules[0].attributes[0].regex';

  test.each([
    ['a backreference', String.raw`(a+)\1`, String.raw`invalid escape sequence: \1`],
    ['a named backreference', String.raw`(?P<n>a)(?P=n)`, 'invalid or unsupported Perl syntax: (?P'],
    ['lookahead', '(?=a)b', 'invalid or unsupported Perl syntax: (?='],
    ['negative lookahead', '(?!a)b', 'invalid or unsupported Perl syntax: (?!'],
    ['lookbehind', '(?<=a)b', 'invalid named capture: (?<=a)b'],
    ['negative lookbehind', '(?<!a)b', 'invalid named capture: (?<!a)b'],
    ['an atomic group', '(?>a)b', 'invalid or unsupported Perl syntax: (?>'],
    ['a possessive repetition', 'a++', 'invalid nested repetition operator: ++'],
    ['an open class', '[a', 'missing closing ]: [a'],
    ['an open group', '(a', 'missing closing ): (a'],
    ['a repetition of nothing', '*a', 'missing argument to repetition operator: *'],
    ['a repetition beyond 1,000', 'a{1001}', 'invalid repeat count: {1001}'],
  ])('with %s is refused', (_what, pattern, why) => {
    const [fault, ...more] = matches(attribute('x', regex(pattern)));
    expect(more).toEqual([]);
    expect(fault).toMatch(/^policy\.rules\[0\]\.attributes\[0\]\.regex: is /);
    expect(fault?.replaceAll('`', '')).toBe(`${field}: is not RE2 syntax: ${why}`);
  });

  test.each([
    ['nested repetitions', '(a{1000}){1000}'],
    ['many repetitions side by side', 'a{1000}'.repeat(2)],
    ['a long repeated text', `(${'ab'.repeat(200)}){1000}`],
    ['optional repetitions', '((a{0,10}){0,10}){0,10}'],
    ['large classes of letters', String.raw`\pL{100}`],
    ['a class of many classes', `[${String.raw`\pL`.repeat(160)}]`],
    ['a wide range without regard to case', String.raw`(?i)[b-\x{1E942}]`],
    ['the same, written out', '(?i)[b-\u{1E942}]'],
  ])('that is too large by %s is refused before it is compiled', (_what, pattern) => {
    expect(matches(attribute('x', regex(pattern)))[0]).toMatch(
      /\.regex: is too large: RE2 would make up to \d+ instructions/,
    );
  });

  test.each([
    'a{1000}',
    'a{0,500}',
    '(a{10}){10}',
    '[a-z]{1,63}',
    String.raw`\pL+`,
    '(?i)[a-z]+',
    `(${'ab'.repeat(100)}){1,2}`,
  ])('%s is not too large', (pattern) => {
    expect(matches(attribute('x', regex(pattern)))).toEqual([]);
  });

  test('is one of 64 at most in a policy', () => {
    const of = (count: number) =>
      rules(
        ...times(Math.ceil(count / 16), (rule) =>
          exampleRule({
            attributes: times(Math.min(16, count - rule * 16), () => attribute('x', regex('ab*'))),
          }),
        ),
      );
    expect(of(64)).toEqual([]);
    expect(of(65)).toEqual(['policy.rules[4].attributes[0].regex: is one regex too many: a policy has 64 at most']);
  });

  test('is not too large together with the others of its policy', () => {
    const large = regex('a'.repeat(512));
    expect(matches(...times(7, () => attribute('x', large)))).toEqual([]);
    expect(matches(...times(9, () => attribute('x', large)))).toEqual([
      "policy.rules[0].attributes[7].regex: makes the policy's regexes too large together (4096)",
    ]);
  });

  test('is not one of too many in a request that sets many policies, where the same ones count once', () => {
    const validated = (policies: number, patternOf: (policy: number) => string): Violations => {
      const violations = new Violations();
      for (let policy = 0; policy < policies; policy++) {
        const attributes = times(4, (index) => attribute('x', regex(`${patternOf(policy)}${index}${'a'.repeat(500)}`)));
        const value = { defaultVersion: 'v1', split: [], rules: [exampleRule({ attributes })] };
        validateTrafficPolicyValue(violations, `writes[${policy}]`, value);
      }
      return violations;
    };
    expect(() => validated(1_000, () => 'same').assertNone()).not.toThrow();
    expect(() => validated(40, (policy) => `p${policy}-`).assertNone()).not.toThrow();
    expect(() => validated(60, (policy) => `p${policy}-`).assertNone()).toThrow('too many for a single request');
  });
});

describe('the versions that a policy names', () => {
  test('are those of its default, splits, rules and mirror, each once', () => {
    expect([...versionsNamedBy(exampleFullPolicy({ defaultVersion: 'v0' }))].toSorted()).toEqual([
      'v0',
      'v1',
      'v2',
      'v3',
    ]);
    const mirrored = { defaultVersion: '', split: [], rules: [], mirroring: { version: 'shadow', percent: 0 } };
    expect([...versionsNamedBy(mirrored)]).toEqual(['shadow']);
    expect([...versionsNamedBy({ defaultVersion: '', split: [], rules: [] })]).toEqual([]);
  });
});
