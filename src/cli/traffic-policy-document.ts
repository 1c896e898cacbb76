import {
  AttributeMatch,
  CircuitBreakerPolicy,
  FaultInjection,
  MatchRule,
  message,
  Mirroring,
  OutlierEjection,
  RetryPolicy,
  TrafficPolicy,
  type LoadBalancing,
  type LocalityPreference,
  type TrafficPolicyKey,
} from '../client/index.ts';
import { durationFromMs, parseDurationMs } from './duration.ts';
import type { AttributeDocument, PolicyDocument, RuleDocument } from './traffic-policy-schema.ts';

/** The message of a policy that a file describes. */
export function policyFromDocument(key: TrafficPolicyKey, policy: PolicyDocument): TrafficPolicy {
  const { retry, circuit_breaker: breaker, outlier_ejection: ejection, fault_injection: faults } = policy;
  return message(TrafficPolicy, {
    key,
    defaultVersion: policy.default_version,
    split: policy.split,
    rules: policy.rules?.map(ruleFromDocument),
    timeout: durationFrom(policy.timeout),
    perTryTimeout: durationFrom(policy.per_try_timeout),
    retry:
      retry &&
      message(RetryPolicy, {
        attemptsMax: retry.attempts_max,
        codes: retry.codes,
        backoffBase: durationFrom(retry.backoff_base),
        backoffMax: durationFrom(retry.backoff_max),
        budgetPercent: retry.budget_percent,
        budgetFloorPerSecond: retry.budget_floor_per_second,
      }),
    circuitBreaker:
      breaker &&
      message(CircuitBreakerPolicy, {
        errorPercent: breaker.error_percent,
        volumeMin: breaker.volume_min,
        window: durationFrom(breaker.window),
        resetTimeout: durationFrom(breaker.reset_timeout),
        concurrentMax: breaker.concurrent_max,
        pendingMax: breaker.pending_max,
      }),
    loadBalancing: policy.load_balancing as LoadBalancing | undefined,
    outlierEjection:
      ejection &&
      message(OutlierEjection, {
        consecutiveErrors: ejection.consecutive_errors,
        baseEjectionTime: durationFrom(ejection.base_ejection_time),
        ejectedPercentMax: ejection.ejected_percent_max,
      }),
    localityPreference: policy.locality_preference as LocalityPreference | undefined,
    mirroring: policy.mirroring && message(Mirroring, policy.mirroring),
    faultInjection:
      faults &&
      message(FaultInjection, {
        delayPercent: faults.delay_percent,
        delay: durationFrom(faults.delay),
        abortPercent: faults.abort_percent,
        abortCode: faults.abort_code,
      }),
  });
}

function ruleFromDocument({ attributes, ...rule }: RuleDocument): MatchRule {
  return message(MatchRule, { ...rule, attributes: attributes?.map(attributeFromDocument) });
}

function attributeFromDocument({ name, exact, prefix, regex, present }: AttributeDocument): AttributeMatch {
  return message(AttributeMatch, { name, predicate: predicateOf({ exact, prefix, regex, present }) });
}

function predicateOf({ exact, prefix, regex, present }: Omit<AttributeDocument, 'name'>): AttributeMatch['predicate'] {
  if (exact !== undefined) return { $case: 'exact', value: exact };
  if (prefix !== undefined) return { $case: 'prefix', value: prefix };
  if (regex !== undefined) return { $case: 'regex', value: regex };
  return present === undefined ? undefined : { $case: 'present', value: present };
}

/** The schema has seen to it that a text is a duration. */
function durationFrom(text: string | undefined) {
  const durationMs = text === undefined ? undefined : parseDurationMs(text);
  return durationMs === undefined ? undefined : durationFromMs(durationMs);
}
