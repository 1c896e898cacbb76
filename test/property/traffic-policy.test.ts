import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { AttributePredicate, MatchRule } from '../../src/domain/match-rule.ts';
import { resolve, type Lookup } from '../../src/domain/resolve.ts';
import type { LiveState } from '../../src/domain/route.ts';
import {
  canonicalTrafficPolicyValue,
  trafficPolicyValueOf,
  validateTrafficPolicyValue,
  type TrafficPolicyValue,
} from '../../src/domain/traffic-policy.ts';
import { Violations } from '../../src/domain/validation.ts';
import type { WeightedVersion } from '../../src/domain/weighted-split.ts';
import { TrafficPolicy as WirePolicy } from '../../src/gen/trafficmanager/v1/traffic_policy.ts';
import { policyFromWire, policyToWire } from '../../src/wire/traffic-policy-wire.ts';
import { chanceFrom, exampleLookup, viewWith } from '../fakes/example-traffic-policy.ts';
import { named, policyValue, policyVersion, ruleOn, wholePolicy } from './traffic-policy-arbitraries.ts';

test('every policy that these tests make is valid', () => {
  fc.assert(
    fc.property(policyValue, (value) => {
      const violations = new Violations();
      validateTrafficPolicyValue(violations, 'policy', value);
      violations.assertNone();
    }),
  );
});

test('a policy survives the wire without loss', () => {
  fc.assert(
    fc.property(wholePolicy, (policy) => {
      const decoded = policyFromWire(WirePolicy.decode(WirePolicy.encode(policyToWire(policy)).finish()));
      expect(decoded).toEqual(policy);
    }),
    { numRuns: 500 },
  );
});

/** As jsonb does it: keys by length, then bytewise; what is undefined is not there. */
function throughJsonb(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (_name, part: unknown) => {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part;
    const byLength = ([left]: [string, unknown], [right]: [string, unknown]): number =>
      left.length - right.length || (left < right ? -1 : 1);
    return Object.fromEntries(Object.entries(part).toSorted(byLength));
  });
}

test('a policy survives the database without loss, and is still the same value', () => {
  fc.assert(
    fc.property(wholePolicy, (policy) => {
      const stored = throughJsonb(trafficPolicyValueOf(policy)) as TrafficPolicyValue;
      expect(stored).toEqual(trafficPolicyValueOf(policy));
      expect(canonicalTrafficPolicyValue(stored)).toBe(canonicalTrafficPolicyValue(policy));
      expect(Object.keys(stored)).not.toContain('revision');
    }),
  );
});

test('values with different texts are different, and the other way round', () => {
  fc.assert(
    fc.property(policyValue, policyValue, (left, right) => {
      const same = canonicalTrafficPolicyValue(left) === canonicalTrafficPolicyValue(right);
      const bytes = (value: TrafficPolicyValue) => {
        const provenance = { revision: 1, etag: '', createTimeMs: 1, updateTimeMs: 1, updatedBy: '' };
        const key = { tenant: 'a', service: 'b', environment: 'c' };
        return Buffer.from(WirePolicy.encode(policyToWire({ key, ...value, ...provenance })).finish()).toString('hex');
      };
      expect(same).toBe(bytes(left) === bytes(right));
    }),
  );
});

// The model of a lookup: the contract in the proto, in the plainest words.

const attributeNames = ['x-user', 'x-region', 'constructor'];

function holds(predicate: AttributePredicate, value: string | undefined): boolean {
  if (predicate.kind === 'present') return predicate.present === (value !== undefined);
  if (value === undefined || predicate.kind === 'unrecognized') return false;
  if (predicate.kind === 'exact') return value === predicate.text;
  if (predicate.kind === 'prefix') return value.indexOf(predicate.text) === 0;
  const [pattern, flags] = predicate.pattern.startsWith('(?i)')
    ? [predicate.pattern.slice(4), 'i']
    : [predicate.pattern, ''];
  return new RegExp(`^(?:${pattern})$`, flags).test(value);
}

function applies(rule: MatchRule, { attributes, method }: Lookup): boolean {
  const [service] = method.split('/');
  const sameMethod = rule.method === '' || rule.method === method || rule.method === `${service}/*`;
  return (
    sameMethod &&
    rule.attributes.every(({ name, predicate }) => holds(predicate, new Map(Object.entries(attributes)).get(name)))
  );
}

type Expected = { readonly reason: string; readonly versions: readonly string[]; readonly matchRule?: string };

function expectedOf(
  value: TrafficPolicyValue,
  states: Record<string, LiveState>,
  lookup: Lookup,
): Expected | undefined {
  const servable = (branches: readonly WeightedVersion[]): string[] =>
    branches.filter(({ version, weight }) => weight > 0 && states[version] === 'ACTIVE').map(({ version }) => version);
  for (const [index, rule] of value.rules.entries()) {
    const versions = servable(rule.version === '' ? rule.split : [{ version: rule.version, weight: 1 }]);
    if (applies(rule, lookup) && versions.length > 0)
      return { reason: 'MATCH_RULE', versions, matchRule: rule.name || `#${index}` };
  }
  const versions = servable(value.split);
  if (versions.length > 0) return { reason: 'SPLIT', versions };
  if (states[value.defaultVersion] === 'ACTIVE') return { reason: 'DEFAULT_VERSION', versions: [value.defaultVersion] };
  return undefined;
}

const lookup: fc.Arbitrary<Lookup> = fc
  .record({
    hashKey: fc.constantFrom('', 'u1', 'u2', 'u3'),
    method: fc.constantFrom('', 'shop.Cart/Add', 'shop.Cart/Remove', 'Cart/_', 'other.Cart/Add'),
    attributes: fc.dictionary(
      fc.constantFrom(...attributeNames),
      fc.constantFrom('', 'a', 'abc', 'eu-west', 'gold', 'GOLD', 'v42'),
      { noNullPrototype: true },
    ),
  })
  .map(exampleLookup);

const valueWithRules = fc
  .tuple(policyValue, fc.array(ruleOn(fc.constantFrom(...attributeNames)), { maxLength: 6 }))
  .map(([value, rules]): TrafficPolicyValue => ({ ...value, rules: named(rules) }));

const routeStates = fc.dictionary(policyVersion, fc.constantFrom<LiveState>('ACTIVE', 'ACTIVE', 'INACTIVE'), {
  noNullPrototype: true,
});

test('lookups are answered as the model answers them', () => {
  const reasons: Record<string, number> = {};
  fc.assert(
    fc.property(
      valueWithRules,
      routeStates,
      fc.array(lookup, { minLength: 1 }),
      fc.nat(),
      (value, states, lookups, seed) => {
        const { view, policy } = viewWith(states, value);
        const random = chanceFrom(seed);
        for (const each of lookups) {
          const expected = expectedOf(value, states, each);
          reasons[expected?.reason ?? 'none'] = (reasons[expected?.reason ?? 'none'] ?? 0) + 1;
          if (expected === undefined) {
            expect(() => resolve(view, each, random)).toThrow();
            continue;
          }
          const found = resolve(view, each, random);
          expect(found).toMatchObject({ policy, reason: expected.reason });
          expect(found.matchRule).toBe(expected.matchRule);
          expect(expected.versions).toContain(found.route.key.version);
        }
      },
    ),
    { numRuns: 2_000 },
  );
  // Every way to an answer was taken, and often.
  for (const reason of ['MATCH_RULE', 'SPLIT', 'DEFAULT_VERSION', 'none']) expect(reasons[reason]).toBeGreaterThan(200);
});

test('equal hash keys get equal versions, through rules too, until something changes that concerns them', () => {
  fc.assert(
    fc.property(valueWithRules, routeStates, lookup, policyVersion, (value, states, call, gone) => {
      const keyed = { ...call, hashKey: 'user-1' };
      const answer = (current: Record<string, LiveState>): string | undefined => {
        try {
          return resolve(viewWith(current, value).view, keyed, Math.random).route.key.version;
        } catch {
          return undefined;
        }
      };
      const before = answer(states);
      expect(answer(states)).toBe(before);
      // A version that was not theirs goes away: they stay.
      if (gone !== before) expect(answer({ ...states, [gone]: 'INACTIVE' })).toBe(before);
    }),
    { numRuns: 1_000 },
  );
});
