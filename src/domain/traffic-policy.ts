import { validateCallSettings, type CallSettings } from './call-settings.ts';
import { canonicalJson } from './canonical-json.ts';
import { DomainError } from './domain-error.ts';
import { limits } from './limits.ts';
import type { MatchRule } from './match-rule.ts';
import { validateRules } from './match-rule-validation.ts';
import type { Provenance } from './route.ts';
import type { Violations } from './validation.ts';
import { validateSplit, type WeightedVersion } from './weighted-split.ts';

/** Names one traffic policy. */
export type TrafficPolicyKey = { readonly tenant: string; readonly service: string; readonly environment: string };

/** What a mutation can change about a traffic policy: which version serves a call, and how it is called. */
export type TrafficPolicyValue = CallSettings & {
  /** '' : none. */
  readonly defaultVersion: string;
  readonly split: readonly WeightedVersion[];
  readonly rules: readonly MatchRule[];
};

/** A traffic policy as committed. */
export type TrafficPolicy = TrafficPolicyValue & Provenance & { readonly key: TrafficPolicyKey };

/** `acme/cart/production`: for messages and logs. */
export function trafficPolicyName(key: TrafficPolicyKey): string {
  return `${key.tenant}/${key.service}/${key.environment}`;
}

export function trafficPolicyNotFound(key: TrafficPolicyKey): DomainError {
  const name = trafficPolicyName(key);
  return new DomainError('TRAFFIC_POLICY_NOT_FOUND', `there is no traffic policy of ${name}`, {
    metadata: { policy: name },
    resource: { type: 'TrafficPolicy', name, tenant: key.tenant },
  });
}

/** Exactly the fields of a value, of a policy that has more: what is stored as the value, and compared. */
export function trafficPolicyValueOf(value: TrafficPolicyValue): TrafficPolicyValue {
  return {
    defaultVersion: value.defaultVersion,
    split: value.split,
    rules: value.rules,
    timeoutMs: value.timeoutMs,
    perTryTimeoutMs: value.perTryTimeoutMs,
    retry: value.retry,
    circuitBreaker: value.circuitBreaker,
    loadBalancing: value.loadBalancing,
    outlierEjection: value.outlierEjection,
    localityPreference: value.localityPreference,
    mirroring: value.mirroring,
    faultInjection: value.faultInjection,
  } satisfies Record<keyof TrafficPolicyValue, unknown>;
}

/** One text for equal values: what "nothing changed" and the etag are decided by. */
export function canonicalTrafficPolicyValue(value: TrafficPolicyValue): string {
  return canonicalJson(trafficPolicyValueOf(value));
}

/** The versions that a policy names: each must have a route. */
export function versionsNamedBy({ defaultVersion, split, rules, mirroring }: TrafficPolicyValue): Set<string> {
  const versions = new Set(split.map((branch) => branch.version));
  for (const rule of rules) {
    versions.add(rule.version);
    for (const branch of rule.split) versions.add(branch.version);
  }
  versions.add(defaultVersion).add(mirroring?.version ?? '');
  versions.delete('');
  return versions;
}

/** Adds everything that is wrong with a key. */
export function validateTrafficPolicyKey(violations: Violations, field: string, key: TrafficPolicyKey): void {
  violations.name(`${field}.tenant`, key.tenant);
  violations.name(`${field}.service`, key.service);
  violations.name(`${field}.environment`, key.environment);
}

/** Adds everything that is wrong with what a caller wants a policy to be, but for versions that do not exist. */
export function validateTrafficPolicyValue(violations: Violations, field: string, value: TrafficPolicyValue): void {
  const canonical = canonicalTrafficPolicyValue(value);
  if (canonical === emptyValue) violations.add(field, 'needs a default_version, a split, rules or a setting');
  if (value.defaultVersion !== '') violations.version(`${field}.default_version`, value.defaultVersion);
  validateSplit(violations, `${field}.split`, value.split);
  validateRules(violations, `${field}.rules`, value.rules);
  validateCallSettings(violations, field, value);
  if (canonical.length > limits.policyBytesMax) violations.add(field, `is larger than ${limits.policyBytesMax} bytes`);
}

const emptyValue = canonicalTrafficPolicyValue({ defaultVersion: '', split: [], rules: [] });
