import { limits } from './limits.ts';
import type { Provenance } from './route.ts';
import type { Violations } from './validation.ts';

/** Names one traffic policy. */
export type TrafficPolicyKey = { readonly tenant: string; readonly service: string; readonly environment: string };

/** One branch of a weighted split. */
export type WeightedVersion = { readonly version: string; readonly weight: number };

/** What a mutation can change about a traffic policy. */
export type TrafficPolicyValue = {
  /** '' : none. */
  readonly defaultVersion: string;
  readonly split: readonly WeightedVersion[];
};

/** A traffic policy as committed. */
export type TrafficPolicy = TrafficPolicyValue & Provenance & { readonly key: TrafficPolicyKey };

/** `acme/cart/production`: for messages and logs. */
export function trafficPolicyName(key: TrafficPolicyKey): string {
  return `${key.tenant}/${key.service}/${key.environment}`;
}

/** One text for equal values. */
export function canonicalTrafficPolicyValue(value: TrafficPolicyValue): string {
  return JSON.stringify([value.defaultVersion, value.split.map((branch) => [branch.version, branch.weight])]);
}

/** The versions that a policy names: each must have a route. */
export function versionsNamedBy(value: TrafficPolicyValue): Set<string> {
  const versions = new Set(value.split.map((branch) => branch.version));
  if (value.defaultVersion !== '') versions.add(value.defaultVersion);
  return versions;
}

/** Adds everything that is wrong with a key. */
export function validateTrafficPolicyKey(violations: Violations, field: string, key: TrafficPolicyKey): void {
  violations.name(`${field}.tenant`, key.tenant);
  violations.name(`${field}.service`, key.service);
  violations.name(`${field}.environment`, key.environment);
}

/** Adds everything that is wrong with what a caller wants a policy to be. */
export function validateTrafficPolicyValue(violations: Violations, field: string, value: TrafficPolicyValue): void {
  if (value.defaultVersion !== '') violations.version(`${field}.default_version`, value.defaultVersion);
  if (value.defaultVersion === '' && value.split.length === 0)
    violations.add(field, 'needs a default_version or a split');
  validateSplit(violations, `${field}.split`, value.split);
}

function validateSplit(violations: Violations, field: string, split: readonly WeightedVersion[]): void {
  if (split.length > limits.splitBranchesMax)
    return violations.add(field, `has more than ${limits.splitBranchesMax} branches`);
  const seen = new Set<string>();
  for (const [index, branch] of split.entries()) {
    violations.version(`${field}[${index}].version`, branch.version);
    violations.integer(`${field}[${index}].weight`, branch.weight, { min: 0, max: limits.splitWeightMax });
    if (seen.has(branch.version)) violations.add(`${field}[${index}].version`, 'stands twice in this split');
    seen.add(branch.version);
  }
  if (split.length > 0 && !split.some(({ weight }) => weight > 0)) violations.add(field, 'has weights that sum to 0');
}
