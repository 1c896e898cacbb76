import { describe, expect, test } from 'vitest';
import { DomainError } from '../../../src/domain/domain-error.ts';
import { compiledRules, type AttributeMatch, type MatchRule } from '../../../src/domain/match-rule.ts';
import { resolve, type Lookup } from '../../../src/domain/resolve.ts';
import type { LiveState } from '../../../src/domain/route.ts';
import type { TrafficPolicyValue } from '../../../src/domain/traffic-policy.ts';
import {
  attribute,
  chanceFrom,
  exact,
  exampleLookup,
  exampleRule,
  prefix,
  present,
  regex,
  viewWith,
} from '../../fakes/example-traffic-policy.ts';

const allActive: Readonly<Record<string, LiveState>> = { v1: 'ACTIVE', v2: 'ACTIVE', v3: 'ACTIVE' };

type Setup = { readonly policy: Partial<TrafficPolicyValue>; readonly states?: Readonly<Record<string, LiveState>> };

/** `REASON version rule`, or the error's reason. */
function outcomeOf(
  { policy, states = allActive }: Setup,
  fields: Partial<Lookup> = {},
  random = chanceFrom(1),
): string {
  const { view } = viewWith(states, { defaultVersion: '', split: [], rules: [], ...policy });
  try {
    const { route, reason, matchRule } = resolve(view, exampleLookup(fields), random);
    return [reason, route.key.version, ...(matchRule === undefined ? [] : [matchRule])].join(' ');
  } catch (error) {
    if (error instanceof DomainError) return error.reason;
    throw error;
  }
}

const rule = (name: string, version: string, fields: Partial<MatchRule> = {}): MatchRule =>
  exampleRule({ name, version, ...fields });

describe('the version of a call', () => {
  const policy = {
    defaultVersion: 'v1',
    split: [{ version: 'v2', weight: 1 }],
    rules: [rule('beta', 'v3', { attributes: [attribute('beta', exact('yes'))] })],
  };
  const beta = { attributes: { beta: 'yes' } };

  test('is the one that the key names, whatever the rules say', () => {
    expect(outcomeOf({ policy }, { ...beta, version: 'v1' })).toBe('KEY v1');
    const off = { ...allActive, v1: 'INACTIVE' } as const;
    expect(outcomeOf({ policy, states: off }, { ...beta, version: 'v1' })).toBe('ROUTE_INACTIVE');
  });
  test('is chosen by a rule that applies, before the split', () => {
    expect(outcomeOf({ policy }, beta)).toBe('MATCH_RULE v3 beta');
    expect(outcomeOf({ policy })).toBe('SPLIT v2');
  });
  test('is chosen by a rule, where there is neither a split nor a default', () => {
    expect(outcomeOf({ policy: { rules: policy.rules } }, beta)).toBe('MATCH_RULE v3 beta');
    expect(outcomeOf({ policy: { rules: policy.rules } })).toBe('VERSION_NOT_SELECTED');
  });
  test('is chosen by the first of the rules that apply', () => {
    const rules = [
      rule('never', 'v1', { method: 'a.B/C' }),
      rule('', 'v2', { attributes: [attribute('beta', present())] }),
      rule('beta', 'v3', { attributes: [attribute('beta', exact('yes'))] }),
      rule('', 'v1'),
    ];
    expect(outcomeOf({ policy: { ...policy, rules } }, beta)).toBe('MATCH_RULE v2 #1');
    expect(outcomeOf({ policy: { ...policy, rules: rules.slice(2) } }, beta)).toBe('MATCH_RULE v3 beta');
    // A rule without conditions applies to every call.
    expect(outcomeOf({ policy: { ...policy, rules } })).toBe('MATCH_RULE v1 #3');
  });
  test('is left to the next rule, then the split, then the default, where versions have no ACTIVE route', () => {
    const rules = [
      rule('first', 'v3'),
      rule('second', '', {
        split: [
          { version: 'v3', weight: 1 },
          { version: 'v1', weight: 0 },
        ],
      }),
      rule('third', 'v2'),
    ];
    const of = (states: Readonly<Record<string, LiveState>>) => outcomeOf({ policy: { ...policy, rules }, states });
    expect(of(allActive)).toBe('MATCH_RULE v3 first');
    expect(of({ ...allActive, v3: 'INACTIVE' })).toBe('MATCH_RULE v2 third');
    expect(of({ v1: 'ACTIVE', v3: 'INACTIVE' })).toBe('DEFAULT_VERSION v1');
    expect(of({ v1: 'ACTIVE' })).toBe('DEFAULT_VERSION v1');
    expect(outcomeOf({ policy: { ...policy, rules: rules.slice(0, 2) }, states: { v2: 'ACTIVE' } })).toBe('SPLIT v2');
    expect(of({ v1: 'INACTIVE' })).toBe('ROUTE_INACTIVE');
  });
});

describe('a condition', () => {
  const applies = (match: AttributeMatch, attributes: Record<string, string>): boolean =>
    outcomeOf({ policy: { rules: [rule('r', 'v1', { attributes: [match] })] } }, { attributes }).startsWith(
      'MATCH_RULE',
    );

  test.for([
    ['exact: the same', exact('gold'), 'gold', true],
    ['exact: another case', exact('gold'), 'Gold', false],
    ['exact: longer', exact('gold'), 'golden', false],
    ['exact: nothing for nothing', exact(''), '', true],
    ['exact: absent', exact(''), undefined, false],
    ['prefix: the same', prefix('eu-'), 'eu-', true],
    ['prefix: longer', prefix('eu-'), 'eu-west', true],
    ['prefix: inside', prefix('eu-'), 'an-eu-', false],
    ['prefix: shorter', prefix('eu-'), 'eu', false],
    ['prefix: nothing, of anything', prefix(''), 'x', true],
    ['prefix: absent', prefix(''), undefined, false],
    ['regex: the whole value', regex('v[0-9]+'), 'v42', true],
    ['regex: not a part', regex('v[0-9]+'), 'v42-beta', false],
    ['regex: an alternative that is only a part', regex('a|ab'), 'ab', true],
    ['regex: letters of any case when it says so', regex('(?i)GOLD'), 'gold', true],
    ['regex: characters beyond 16 bits', regex('.'), '𝒳', true],
    ['regex: absent', regex('.*'), undefined, false],
    ['present: empty', present(), '', true],
    ['present: absent', present(), undefined, false],
    ['not present: there', present(false), '', false],
    ['not present: absent', present(false), undefined, true],
    ['of a newer program: there', { kind: 'unrecognized' } as const, 'x', false],
    ['of a newer program: absent', { kind: 'unrecognized' } as const, undefined, false],
    ['a regex that does not compile', regex('(a'), '(a', false],
    ['a regex that is larger than what is allowed', regex('(?:a{1000}){2}|b'), 'b', false],
  ] as const)('%s', ([, predicate, value, expected]) => {
    expect(applies(attribute('x', predicate), value === undefined ? {} : { x: value })).toBe(expected);
  });

  test('looks at attributes only, not at what objects know', () => {
    for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty']) {
      expect(applies(attribute(name, present()), {})).toBe(false);
      expect(applies(attribute(name, present(false)), {})).toBe(true);
    }
    expect(applies(attribute('constructor', exact('c')), { constructor: 'c' })).toBe(true);
    expect(applies(attribute('x', present()), Object.create(null) as Record<string, string>)).toBe(false);
  });

  test('has to hold together with all the others of its rule', () => {
    const rules = [
      rule('r', 'v1', { attributes: [attribute('a', exact('1')), attribute('b', prefix('2'))], method: 'x.Y/*' }),
    ];
    const of = (attributes: Record<string, string>, method: string) =>
      outcomeOf({ policy: { rules } }, { attributes, method });
    expect(of({ a: '1', b: '22', c: '' }, 'x.Y/Z')).toBe('MATCH_RULE v1 r');
    for (const [attributes, method] of [
      [{ a: '1' }, 'x.Y/Z'],
      [{ a: '2', b: '2' }, 'x.Y/Z'],
      [{ a: '1', b: '2' }, 'x.Z/Z'],
      [{}, ''],
    ] as const) {
      expect(of(attributes, method)).toBe('VERSION_NOT_SELECTED');
    }
  });
});

describe('the method of a rule', () => {
  const applies = (method: string, called: string): boolean =>
    outcomeOf({ policy: { rules: [rule('r', 'v1', { method })] } }, { method: called }).startsWith('MATCH_RULE');

  test.for([
    ['', '', true],
    ['', 'shop.Cart/Add', true],
    ['shop.Cart/Add', 'shop.Cart/Add', true],
    ['shop.Cart/Add', 'shop.Cart/AddAll', false],
    ['shop.Cart/Add', '', false],
    ['shop.Cart/*', 'shop.Cart/Add', true],
    ['shop.Cart/*', 'shop.Cart', false],
    ['shop.Cart/*', 'shop.CartX/Add', false],
    ['shop.Cart/*', 'a.shop.Cart/Add', false],
  ] as const)('%j and the call %j: %s', ([method, called, expected]) => {
    expect(applies(method, called)).toBe(expected);
  });
});

test('regexes that drive backtracking engines mad take what all others take', () => {
  const attributes = (value: string) => ({ attributes: { x: value } });
  // V8 needs 2^30 steps for the first of these, and RE2 a thousand.
  for (const pattern of [
    '(a+)+b',
    '(a|a)*b',
    '(a|aa)+b',
    '(.*a){12}b',
    '([a-z]+)*[0-9]',
    '(a*)*(b|c)',
    'a?'.repeat(30) + 'a{30}b',
  ]) {
    const policy = { defaultVersion: 'v2', rules: [rule('r', 'v1', { attributes: [attribute('x', regex(pattern))] })] };
    expect(outcomeOf({ policy }, attributes('a'.repeat(1_024))), pattern).toBe('DEFAULT_VERSION v2');
  }
});

test('a regex whose automaton does not fit its memory goes on without, and stays right', () => {
  const rules = [rule('r', 'v1', { attributes: [attribute('x', regex('(a|b)*a(a|b){40}'))] })];
  const random = chanceFrom(7);
  const policy = { defaultVersion: 'v2', rules };
  const { view } = viewWith(allActive, { split: [], ...policy });
  const seen = new Set<string>();
  for (let call = 0; call < 200; call++) {
    const value = Array.from({ length: 300 }, () => (random() < 0.5 ? 'a' : 'b')).join('');
    const { route } = resolve(view, exampleLookup({ attributes: { x: value } }), random);
    expect(route.key.version).toBe(value.at(-41) === 'a' ? 'v1' : 'v2');
    seen.add(route.key.version);
  }
  expect(seen.size).toBe(2);
});

describe('rules are made ready', () => {
  const rules = [rule('r', 'v1', { attributes: [attribute('x', regex('a+'))] })];

  test('once for as long as the policy is', () => {
    const ready = compiledRules(rules);
    outcomeOf({ policy: { rules } }, { attributes: { x: 'aa' } });
    expect(compiledRules(rules)).toBe(ready);
  });
  test('anew for a policy that replaces it', () => {
    expect(compiledRules([...rules])).not.toBe(compiledRules(rules));
  });
});

test('regexes on several attributes, in several rules, are told apart', () => {
  const rules = [
    rule('both', 'v1', { attributes: [attribute('x', regex('a.*')), attribute('y', regex('.*b'))] }),
    rule('broken', 'v1', { attributes: [attribute('x', regex('(')), attribute('y', regex('.*'))] }),
    rule('y', 'v2', { attributes: [attribute('y', regex('.*b'))] }),
    rule('x', 'v3', { attributes: [attribute('x', regex('a.*'))] }),
    rule('twice', 'v3', { attributes: [attribute('x', regex('.*c.*')), attribute('x', regex('.*d.*'))] }),
  ];
  const of = (attributes: Record<string, string>) => outcomeOf({ policy: { rules } }, { attributes });
  expect(of({ x: 'a', y: 'b' })).toBe('MATCH_RULE v1 both');
  expect(of({ x: 'b', y: 'b' })).toBe('MATCH_RULE v2 y');
  expect(of({ x: 'a', y: 'a' })).toBe('MATCH_RULE v3 x');
  expect(of({ x: 'a' })).toBe('MATCH_RULE v3 x');
  expect(of({ y: 'xb' })).toBe('MATCH_RULE v2 y');
  expect(of({ x: '-cd-' })).toBe('MATCH_RULE v3 twice');
  expect(of({ x: '-c-' })).toBe('VERSION_NOT_SELECTED');
  expect(of({})).toBe('VERSION_NOT_SELECTED');
});

describe('the split of a rule', () => {
  const branches = (...weights: number[]) => weights.map((weight, index) => ({ version: `v${index + 1}`, weight }));
  const policyOf = (...weights: number[]) => ({ rules: [rule('r', '', { split: branches(...weights) })] });
  const versionOf = (policy: Partial<TrafficPolicyValue>, user: number): string =>
    outcomeOf({ policy }, { hashKey: `user-${user}` }, chanceFrom(user));

  test('gives each version its share, by chance and by hash key', () => {
    for (const lookupOf of [(_call: number) => ({}), (call: number) => ({ hashKey: `user-${call}` })]) {
      const random = chanceFrom(3);
      let second = 0;
      for (let call = 0; call < 10_000; call++)
        if (outcomeOf({ policy: policyOf(80, 20) }, lookupOf(call), random) === 'MATCH_RULE v2 r') second++;
      // Five standard deviations.
      expect(Math.abs(second - 2_000)).toBeLessThan(5 * Math.sqrt(10_000 * 0.2 * 0.8));
    }
  });
  test('is sticky, and a change of weights moves calls to the version that gained only', () => {
    let moved = 0;
    for (let user = 0; user < 2_000; user++) {
      const before = versionOf(policyOf(80, 10, 10), user);
      expect(versionOf(policyOf(80, 10, 10), user)).toBe(before);
      const after = versionOf(policyOf(80, 30, 10), user);
      if (after === before) continue;
      expect(after).toBe('MATCH_RULE v2 r');
      moved++;
    }
    // From 10 of 100 to 30 of 120: a share of 0.15 moves.
    expect(Math.abs(moved - 300)).toBeLessThan(5 * Math.sqrt(2_000 * 0.15 * 0.85));
  });
  test('gives a caller what the same split of the policy would', () => {
    for (let user = 0; user < 200; user++) {
      const byRule = versionOf(policyOf(50, 30, 20), user).split(' ')[1];
      expect(versionOf({ split: branches(50, 30, 20) }, user)).toBe(`SPLIT ${byRule}`);
    }
  });
  test('draws no chance where there is one version to choose', () => {
    const none = (): number => {
      throw new Error('chance was asked');
    };
    expect(outcomeOf({ policy: policyOf(1) }, {}, none)).toBe('MATCH_RULE v1 r');
    expect(outcomeOf({ policy: { split: branches(1) } }, {}, none)).toBe('SPLIT v1');
    expect(outcomeOf({ policy: { rules: [rule('r', 'v3')] } }, {}, none)).toBe('MATCH_RULE v3 r');
  });
});
