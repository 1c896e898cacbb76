import { canonicalTrafficPolicyValue, type TrafficPolicy } from '../../src/domain/traffic-policy.ts';

/**
 * What a policy costs in memory, bytes, roughly: the objects around its texts; each text three times (as strings, in the objects'
 * names and numbers, and in the answer that is encoded once and kept); and the program of each regex with an automaton as
 * ordinary attributes leave it. The most an automaton can grow to is four times that (`limits.regexAutomatonBytesMax`).
 */
const policyBytes = 500;
const textFactor = 3;
const regexBytes = 16 * 1024;

/** Policies are replaced, never changed, so each is weighed once, and not again when a route beside it changes. */
const weighed = new WeakMap<TrafficPolicy, number>();

export function bytesOfPolicy(policy: TrafficPolicy): number {
  let bytes = weighed.get(policy);
  if (bytes === undefined) {
    const matches = policy.rules.flatMap(({ attributes }) => attributes);
    const regexes = matches.filter(({ predicate }) => predicate.kind === 'regex').length;
    bytes = policyBytes + textFactor * canonicalTrafficPolicyValue(policy).length + regexes * regexBytes;
    weighed.set(policy, bytes);
  }
  return bytes;
}
