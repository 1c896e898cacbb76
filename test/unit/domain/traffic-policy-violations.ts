import { DomainError } from '../../../src/domain/domain-error.ts';
import { validateTrafficPolicyValue, type TrafficPolicyValue } from '../../../src/domain/traffic-policy.ts';
import { Violations } from '../../../src/domain/validation.ts';

/** What is wrong with a policy: `field: description` for each violation. */
export function faultsOf(value: TrafficPolicyValue): string[] {
  const violations = new Violations();
  validateTrafficPolicyValue(violations, 'policy', value);
  try {
    violations.assertNone();
    return [];
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    return error.violations.map(({ field, description }) => `${field}: ${description}`);
  }
}

/** Only the fields. */
export function wrongFieldsOf(value: TrafficPolicyValue): string[] {
  return faultsOf(value).map((fault) => fault.slice(0, fault.indexOf(': ')));
}
