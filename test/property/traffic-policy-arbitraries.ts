import fc from 'fast-check';
import type { AttributePredicate, MatchRule } from '../../src/domain/match-rule.ts';
import { failureCodeNames, isRetryableCode } from '../../src/domain/status-code-name.ts';
import type { TrafficPolicy, TrafficPolicyKey, TrafficPolicyValue } from '../../src/domain/traffic-policy.ts';

/** Valid policies, with everything that they can say and any part of it left out. */

export const policyVersion = fc.constantFrom('v1', 'v2', 'v3', 'RC.1', '2024.11');
const text = fc
  .string({ unit: 'grapheme', maxLength: 20 })
  .filter((each) => each.isWellFormed() && !/[\p{Cc}\uFFFD]/u.test(each));
const percent = fc.oneof(
  fc.constantFrom(0, 1, 100, 0.1, 33.3),
  fc.double({ min: 0, max: 100, noNaN: true }).map((share) => (share === 0 ? 0 : share)),
);
const milliseconds = (min: number, max: number) => fc.oneof(fc.constantFrom(min, max), fc.integer({ min, max }));
const optional = <Value>(value: fc.Arbitrary<Value>) => fc.option(value, { nil: undefined });

const predicate: fc.Arbitrary<AttributePredicate> = fc.oneof(
  fc.record({ kind: fc.constant('exact' as const), text }),
  fc.record({ kind: fc.constant('prefix' as const), text }),
  fc.record({
    kind: fc.constant('regex' as const),
    pattern: fc.constantFrom('', 'a*', '[a-c]+', '(eu|us)-.*', 'v[0-9]{1,3}', '(?i)gold', '.*'),
  }),
  fc.record({ kind: fc.constant('present' as const), present: fc.boolean() }),
);

const split = fc
  .uniqueArray(fc.record({ version: policyVersion, weight: fc.constantFrom(0, 1, 90, 10_000) }), {
    selector: (branch) => branch.version,
    minLength: 1,
    maxLength: 5,
  })
  .filter((branches) => branches.some(({ weight }) => weight > 0));

const target = fc.oneof(
  fc.record({ version: policyVersion, split: fc.constant([]) }),
  fc.record({ version: fc.constant(''), split }),
);

/** `attributes`: names that rules look at. */
export function ruleOn(attributes: fc.Arbitrary<string>): fc.Arbitrary<MatchRule> {
  return fc
    .record({
      attributes: fc.array(fc.record({ name: attributes, predicate }), { maxLength: 3 }),
      method: fc.constantFrom('', '', 'shop.Cart/Add', 'shop.Cart/*', 'Cart/_'),
      target,
    })
    .map(({ target: to, ...rule }) => ({ name: '', ...rule, ...to }));
}

/** Gives some rules names, each another. */
export function named(rules: readonly MatchRule[]): MatchRule[] {
  return rules.map((rule, index) => (index % 2 === 0 ? { ...rule, name: `rule ${index} é` } : rule));
}

const attributeName = fc.oneof(
  fc.constantFrom('x-user', 'constructor', 'Ä'),
  text.filter((name) => name !== ''),
);

export const policyValue: fc.Arbitrary<TrafficPolicyValue> = fc
  .record({
    defaultVersion: fc.oneof(fc.constant(''), policyVersion),
    split: fc.oneof(fc.constant([]), split),
    rules: fc.array(ruleOn(attributeName), { maxLength: 5 }).map(named),
    timeoutMs: optional(milliseconds(100, 3_600_000)),
    perTryTimeoutMs: optional(milliseconds(1, 100)),
    retry: optional(
      fc.record({
        attemptsMax: fc.integer({ min: 1, max: 10 }),
        codes: fc.uniqueArray(fc.constantFrom(...failureCodeNames.filter(isRetryableCode)), { minLength: 1 }),
        backoffBaseMs: milliseconds(1, 60_000),
        backoffMaxMs: milliseconds(60_000, 300_000),
        budgetPercent: percent,
        budgetFloorPerSecond: fc.integer({ min: 0, max: 10_000 }),
      }),
    ),
    circuitBreaker: optional(
      fc.record({
        errorPercent: percent.map((share) => Math.max(1, share)),
        volumeMin: fc.integer({ min: 1, max: 1_000_000 }),
        windowMs: milliseconds(100, 600_000),
        resetTimeoutMs: milliseconds(10, 600_000),
        concurrentMax: fc.integer({ min: 1, max: 1_000_000 }),
        pendingMax: fc.integer({ min: 0, max: 1_000_000 }),
      }),
    ),
    loadBalancing: optional(fc.constantFrom('ROUND_ROBIN' as const, 'LEAST_PENDING' as const, 'RING_HASH' as const)),
    outlierEjection: optional(
      fc.record({
        consecutiveErrors: fc.integer({ min: 1, max: 1_000 }),
        baseEjectionTimeMs: milliseconds(100, 600_000),
        ejectedPercentMax: percent,
      }),
    ),
    localityPreference: optional(fc.constantFrom('NONE' as const, 'SAME_ZONE' as const)),
    mirroring: optional(fc.record({ version: policyVersion, percent })),
    faultInjection: optional(
      fc.record({
        delayPercent: percent,
        delayMs: milliseconds(1, 60_000),
        abortPercent: percent,
        abortCode: fc.constantFrom(...failureCodeNames),
      }),
    ),
  })
  .filter((value) => Object.values(value).some((part) => part !== undefined && part !== '' && !isEmptyList(part)));

function isEmptyList(part: unknown): boolean {
  return Array.isArray(part) && part.length === 0;
}

const name = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?$/);
const policyKey: fc.Arbitrary<TrafficPolicyKey> = fc.record({ tenant: name, service: name, environment: name });

export const wholePolicy: fc.Arbitrary<TrafficPolicy> = fc
  .tuple(
    policyKey,
    policyValue,
    fc.record({
      revision: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
      etag: fc.stringMatching(/^[0-9a-f]{16}$/),
      createTimeMs: fc.integer({ min: 1, max: 4_102_444_800_000 }),
      updateTimeMs: fc.integer({ min: 1, max: 4_102_444_800_000 }),
      updatedBy: fc.string({ unit: 'grapheme-ascii', maxLength: 20 }),
    }),
  )
  .map(([key, value, provenance]) => ({ key, ...value, ...provenance }));
