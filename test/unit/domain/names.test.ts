import { describe, expect, test } from 'vitest';
import { DomainError } from '../../../src/domain/domain-error.ts';
import { Violations } from '../../../src/domain/validation.ts';

/** What is wrong with a value, by the method that looks at it. */
function violationsOf(check: (violations: Violations) => void): readonly { field: string; description: string }[] {
  const violations = new Violations();
  check(violations);
  try {
    violations.assertNone();
    return [];
  } catch (error) {
    if (error instanceof DomainError && error.reason === 'INVALID_FIELDS') return error.violations;
    throw error;
  }
}

/** Wrong wherever a name or a version stands. */
const neverNames = [
  ['empty', ''],
  ['a leading hyphen', '-cart'],
  ['a trailing hyphen', 'cart-'],
  ['only a hyphen', '-'],
  ['a leading dot', '.cart'],
  ['a trailing dot', 'cart.'],
  ['doubled dots', 'ca..rt'],
  ['an underscore', 'ca_rt'],
  ['a space', 'ca rt'],
  ['a leading space', ' cart'],
  ['a trailing newline', 'cart\n'],
  ['a tab', 'ca\trt'],
  ['a NUL', 'ca\u0000rt'],
  ['DEL', 'ca\u007Frt'],
  ['a slash', 'ca/rt'],
  ['a subject wildcard', 'ca*rt'],
  ['a subject tail wildcard', '>'],
  ['a colon', 'ca:rt'],
  ['an umlaut', 'kärt'],
  ['a Cyrillic look-alike', 'сart'],
  ['full-width letters', 'ｃａｒｔ'],
  ['an emoji', '🛒'],
  ['a combining accent', 'cárt'],
  ['a zero-width space', 'ca\u200Brt'],
  ['a right-to-left override', 'ca\u202Ert'],
  ['U+FFFD, which stands for bytes that are not UTF-8', 'ca\uFFFDrt'],
  ['64 characters', 'a'.repeat(64)],
  ['a megabyte', 'a'.repeat(1_000_000)],
] as const;

describe('a tenant, service or environment', () => {
  test.for([
    ['one letter', 'a'],
    ['one digit', '0'],
    ['letters, digits and inner hyphens', 'a-b--2'],
    ['digits alone', '007'],
    ['63 characters', 'a'.repeat(63)],
    ['63 characters with hyphens', `a${'-'.repeat(61)}a`],
    ['a word that JavaScript objects know', 'constructor'],
  ] as const)('may be %s', ([, name]) => {
    expect(violationsOf((violations) => violations.name('tenant', name))).toEqual([]);
  });

  test.for([...neverNames, ['an upper case letter', 'Cart'], ['an inner dot', 'ca.rt']] as const)(
    'is refused with %s',
    ([, name]) => {
      const found = violationsOf((violations) => violations.name('route.key.service', name));
      expect(found).toHaveLength(1);
      expect(found[0]?.field).toBe('route.key.service');
    },
  );
});

describe('a version', () => {
  test.for([
    ['one letter', 'v'],
    ['semantic', '1.4.2'],
    ['upper case', 'RC.1'],
    ['mixed with hyphens', '1.0.0-Beta-2'],
    ['one-letter parts', 'a.b.c.D'],
    ['63 characters', 'A'.repeat(63)],
    ['63 characters with dots', `${'a.'.repeat(31)}a`],
  ] as const)('may be %s', ([, version]) => {
    expect(violationsOf((violations) => violations.version('key.version', version))).toEqual([]);
  });

  test.for([
    ...neverNames,
    ['a hyphen before a dot', 'a-.b'],
    ['a hyphen after a dot', 'a.-b'],
    ['only dots', '..'],
    ['one dot', '.'],
    ['64 characters with dots', `${'a.'.repeat(31)}ab`],
    ['a plus, as in build metadata', '1.0.0+5'],
  ] as const)('is refused with %s', ([, version]) => {
    const found = violationsOf((violations) => violations.version('key.version', version));
    expect(found).toHaveLength(1);
    expect(found[0]?.field).toBe('key.version');
  });
});

describe('a text', () => {
  const texts = (value: string, lengthMax = 10) =>
    violationsOf((violations) => violations.text('zone', value, lengthMax));

  test.for(['', 'eu-west-1a', 'Zürich', '東京', '"quoted" \\', '\u0080', '1234567890'])('may be %j', (value) => {
    expect(texts(value)).toEqual([]);
  });

  test('is counted in characters, not in UTF-16 units', () => {
    expect(texts('👋'.repeat(10))).toEqual([]);
    expect(texts('👋'.repeat(11))).toHaveLength(1);
    expect(texts('12345678901')).toHaveLength(1);
  });

  test.for([
    ['U+FFFD', 'a\uFFFD'],
    ['NUL', '\u0000'],
    ['a line break', 'a\nb'],
    ['a carriage return', 'a\r'],
    ['an escape sequence', '\u001B[31m'],
    ['DEL', '\u007F'],
  ] as const)('is refused with %s', ([, value]) => {
    expect(texts(value)).toHaveLength(1);
  });
});

describe('labels', () => {
  const labelsOf = (entries: readonly (readonly [string, string])[]) =>
    violationsOf((violations) => violations.labels('labels', Object.fromEntries(entries)));
  const many = (count: number) => Array.from({ length: count }, (_, index) => [`k${index}`, 'v'] as const);

  test('may be 64, with keys of 1 to 63 characters and values of up to 255', () => {
    expect(labelsOf(many(64))).toEqual([]);
    expect(
      labelsOf([
        ['k'.repeat(63), 'v'.repeat(255)],
        ['a', ''],
      ]),
    ).toEqual([]);
    expect(
      labelsOf([
        ['team/owner', 'Zürich 👋'],
        ['constructor', 'x'],
        ['__proto__', 'x'],
      ]),
    ).toEqual([]);
  });

  test.for([
    ['65 entries', many(65), 'labels'],
    ['an empty key', [['', 'v']], 'labels[""]'],
    ['a key of 64 characters', [['k'.repeat(64), 'v']], `labels["${'k'.repeat(64)}"]`],
    ['a value of 256 characters', [['k', 'v'.repeat(256)]], 'labels["k"]'],
    ['a control character in a key', [['k\u0007', 'v']], 'labels["k\\u0007"]'],
    ['a control character in a value', [['k', 'v\u0000']], 'labels["k"]'],
    ['U+FFFD in a value', [['k', '\uFFFD']], 'labels["k"]'],
  ] as const)('are refused with %s', ([, entries, field]) => {
    expect(labelsOf(entries).map((violation) => violation.field)).toEqual([field]);
  });
});

describe('violations', () => {
  test('are told all at once, in the order that they were found', () => {
    const found = violationsOf((violations) => {
      violations.name('tenant', 'Acme');
      violations.name('service', 'cart');
      violations.version('version', '');
      violations.integer('weight', 1.5, { min: 0, max: 2 });
    });
    expect(found.map(({ field }) => field)).toEqual(['tenant', 'version', 'weight']);
  });
});
