import { describe, expect, test } from 'vitest';
import { message } from '../../../src/client/index.ts';
import {
  LoadBalancing,
  LocalityPreference,
  MatchRule,
  TrafficPolicy,
  type AttributeMatch,
} from '../../../src/gen/trafficmanager/v1/traffic_policy.ts';
import { durationFromWire, durationToWire } from '../../../src/wire/duration-wire.ts';
import { policyFromWire, policyToWire, policyValueFromWire } from '../../../src/wire/traffic-policy-wire.ts';
import { exampleFullPolicy, examplePolicyKey as key } from '../../fakes/example-traffic-policy.ts';

const provenance = { revision: 3, etag: 'e', createTimeMs: 1_001, updateTimeMs: 2_002, updatedBy: 'alice' };

test('every field of a policy stands in its message', () => {
  const wire = policyToWire({ key, ...exampleFullPolicy(), ...provenance });
  for (const [name, value] of Object.entries(wire)) expect(value, name).not.toEqual(defaultOf(name));
  expect(wire).toMatchObject({
    timeout: { seconds: 2n, nanos: 500_000_000 },
    loadBalancing: LoadBalancing.LOAD_BALANCING_LEAST_PENDING,
    localityPreference: LocalityPreference.LOCALITY_PREFERENCE_SAME_ZONE,
    retry: { backoffBase: { seconds: 0n, nanos: 25_000_000 }, budgetPercent: 12.5 },
    faultInjection: { delay: { seconds: 0n, nanos: 250_000_000 }, abortCode: 'UNAVAILABLE' },
  });
});

function defaultOf(name: string): unknown {
  return (TrafficPolicy.decode(new Uint8Array()) as unknown as Record<string, unknown>)[name];
}

test('nothing is a policy that says nothing', () => {
  const nothing = { defaultVersion: '', split: [], rules: [] };
  expect(policyValueFromWire(undefined)).toEqual(nothing);
  expect(policyValueFromWire(message(TrafficPolicy, {}))).toEqual(nothing);
});

describe('what a newer program says', () => {
  test('in an enum is kept as not recognized, to be taken for the default', () => {
    const wire = message(TrafficPolicy, {
      loadBalancing: 9 as LoadBalancing,
      localityPreference: 9 as LocalityPreference,
    });
    const policy = policyFromWire(wire);
    expect(policy).toMatchObject({ loadBalancing: 'UNRECOGNIZED', localityPreference: 'UNRECOGNIZED' });
    expect(policyToWire(policy)).toMatchObject({
      loadBalancing: LoadBalancing.LOAD_BALANCING_UNSPECIFIED,
      localityPreference: LocalityPreference.LOCALITY_PREFERENCE_UNSPECIFIED,
    });
  });
  test('in a predicate is one that nothing meets', () => {
    // Field 6 of AttributeMatch, which this program does not have, beside the name.
    const attribute: AttributeMatch = { name: 'x', predicate: undefined };
    const bytes = MatchRule.encode(message(MatchRule, { version: 'v1', attributes: [attribute] })).finish();
    const policy = policyFromWire(message(TrafficPolicy, { rules: [MatchRule.decode(bytes)] }));
    expect(policy.rules[0]?.attributes).toEqual([{ name: 'x', predicate: { kind: 'unrecognized' } }]);
    expect(policyToWire(policy).rules[0]?.attributes).toEqual([attribute]);
  });
});

test('shares have no sign when they are nothing: the database would not keep it', () => {
  const wire = policyToWire({ key, ...exampleFullPolicy(), ...provenance });
  wire.mirroring!.percent = -0;
  wire.faultInjection!.delayPercent = -0;
  const { mirroring, faultInjection } = policyValueFromWire(wire);
  expect([mirroring?.percent, faultInjection?.delayPercent].map((share) => Object.is(share, 0))).toEqual([true, true]);
});

describe('a duration', () => {
  test.each([
    [0, 0n, 0],
    [1, 0n, 1_000_000],
    [999, 0n, 999_000_000],
    [1_000, 1n, 0],
    [3_600_000, 3_600n, 0],
    [1_234_567, 1_234n, 567_000_000],
    [0.25, 0n, 250_000],
  ])('of %d ms is %s s and %d ns', (durationMs, seconds, nanos) => {
    expect(durationToWire(durationMs)).toEqual({ seconds, nanos });
    expect(durationFromWire({ seconds, nanos })).toBe(durationMs);
  });
  test('keeps what makes it invalid', () => {
    expect(durationFromWire({ seconds: 1n, nanos: 1 })).not.toBe(1_000);
    expect(durationFromWire({ seconds: -1n, nanos: 0 })).toBe(-1_000);
    expect(durationFromWire({ seconds: 2n ** 63n - 1n, nanos: 0 })).toBeGreaterThan(3_600_000);
  });
});
