import { expect, test } from 'vitest';
import { createGroup } from '../../../sidecar/snapshot/group.ts';
import { bytesOfPolicy } from '../../../sidecar/snapshot/policy-bytes.ts';
import type { TrafficPolicyValue } from '../../../src/domain/traffic-policy.ts';
import {
  attribute,
  exact,
  exampleFullPolicy,
  exampleRule,
  regex,
  viewWith,
} from '../../fakes/example-traffic-policy.ts';

function policyOf(fields: Partial<TrafficPolicyValue>) {
  const { policy } = viewWith({}, { defaultVersion: 'v1', split: [], rules: [], ...fields });
  if (policy === undefined) throw new Error('there is one');
  return policy;
}

const rulesOf = (count: number, match: ReturnType<typeof attribute>) =>
  Array.from({ length: count }, () => exampleRule({ attributes: [match] }));

test('a policy counts towards the memory of its group', () => {
  const policy = policyOf(exampleFullPolicy());
  expect(createGroup([], policy, 1).bytes - createGroup([], undefined, 1).bytes).toBeGreaterThan(bytesOfPolicy(policy));
});

test('every rule, text and regex of it counts', () => {
  // Measured: 0.6 KB, 22 KB with a regex that was looked up, and what the texts take.
  expect(bytesOfPolicy(policyOf({}))).toBeLessThan(1_000);
  const texts = bytesOfPolicy(policyOf({ rules: rulesOf(60, attribute('x', exact('a'.repeat(1_000)))) }));
  expect(texts).toBeGreaterThan(3 * 60_000);
  const regexes = bytesOfPolicy(policyOf({ rules: rulesOf(60, attribute('x', regex('a'))) }));
  expect(regexes).toBeGreaterThan(60 * 16_000);
});
