import { describe, expect, test } from 'vitest';
import type { CallSettings } from '../../../src/domain/call-settings.ts';
import { failureCodeNames } from '../../../src/domain/status-code-name.ts';
import type { TrafficPolicyValue } from '../../../src/domain/traffic-policy.ts';
import { exampleFullPolicy, exampleRule } from '../../fakes/example-traffic-policy.ts';
import { faultsOf, wrongFieldsOf } from './traffic-policy-violations.ts';

const full = exampleFullPolicy();
const bare: TrafficPolicyValue = { defaultVersion: '', split: [], rules: [] };

test('a policy that says everything is valid', () => {
  expect(faultsOf(full)).toEqual([]);
});

test.each<[string, Partial<TrafficPolicyValue>]>([
  ['a default version', { defaultVersion: 'v1' }],
  ['a split', { split: [{ version: 'v1', weight: 1 }] }],
  ['a rule', { rules: [exampleRule()] }],
  ['a timeout, for calls that name their version', { timeoutMs: 1_000 }],
  ['a load balancing', { loadBalancing: 'ROUND_ROBIN' }],
])('%s alone is a policy', (_what, fields) => {
  expect(faultsOf({ ...bare, ...fields })).toEqual([]);
});

test('a policy that says nothing is none', () => {
  expect(faultsOf(bare)).toEqual(['policy: needs a default_version, a split, rules or a setting']);
});

/** Sets one field of one part of the full policy. */
function withField<Part extends keyof CallSettings>(part: Part, name: string, value: unknown): TrafficPolicyValue {
  return { ...full, [part]: { ...(full[part] as object), [name]: value } };
}

type Bounds = readonly [part: keyof CallSettings, name: string, field: string, min: number, max: number];

const wholeNumbers: readonly Bounds[] = [
  ['retry', 'attemptsMax', 'retry.attempts_max', 1, 10],
  ['retry', 'backoffBaseMs', 'retry.backoff_base', 1, 60_000],
  ['retry', 'backoffMaxMs', 'retry.backoff_max', 25, 300_000],
  ['retry', 'budgetFloorPerSecond', 'retry.budget_floor_per_second', 0, 10_000],
  ['circuitBreaker', 'volumeMin', 'circuit_breaker.volume_min', 1, 1_000_000],
  ['circuitBreaker', 'windowMs', 'circuit_breaker.window', 100, 600_000],
  ['circuitBreaker', 'resetTimeoutMs', 'circuit_breaker.reset_timeout', 10, 600_000],
  ['circuitBreaker', 'concurrentMax', 'circuit_breaker.concurrent_max', 1, 1_000_000],
  ['circuitBreaker', 'pendingMax', 'circuit_breaker.pending_max', 0, 1_000_000],
  ['outlierEjection', 'consecutiveErrors', 'outlier_ejection.consecutive_errors', 1, 1_000],
  ['outlierEjection', 'baseEjectionTimeMs', 'outlier_ejection.base_ejection_time', 100, 600_000],
  ['faultInjection', 'delayMs', 'fault_injection.delay', 1, 60_000],
];

const percentages: readonly Bounds[] = [
  ['retry', 'budgetPercent', 'retry.budget_percent', 0, 100],
  ['circuitBreaker', 'errorPercent', 'circuit_breaker.error_percent', 1, 100],
  ['outlierEjection', 'ejectedPercentMax', 'outlier_ejection.ejected_percent_max', 0, 100],
  ['mirroring', 'percent', 'mirroring.percent', 0, 100],
  ['faultInjection', 'delayPercent', 'fault_injection.delay_percent', 0, 100],
  ['faultInjection', 'abortPercent', 'fault_injection.abort_percent', 0, 100],
];

describe.each([...wholeNumbers, ...percentages])('%s.%s (%s) is from %d to %d', (part, name, field, min, max) => {
  test.each([min, max])('%d is', (value) => {
    expect(wrongFieldsOf(withField(part, name, value))).toEqual([]);
  });
  test.each([min - 1, max + 1, Number.NaN, Infinity, -Infinity])('%d is not', (value) => {
    // Where two fields are compared, the other one may now be wrong too.
    expect(wrongFieldsOf(withField(part, name, value))).toContain(`policy.${field}`);
  });
});

test.each(wholeNumbers)('%s.%s is a whole number', (part, name, field, min) => {
  expect(wrongFieldsOf(withField(part, name, min + 0.5))).toEqual([`policy.${field}`]);
});

test.each(percentages)('%s.%s may have a fraction', (part, name, _field, min, max) => {
  expect(faultsOf(withField(part, name, min + 0.001))).toEqual([]);
  expect(faultsOf(withField(part, name, max - 0.001))).toEqual([]);
});

test.each([
  ['retry', 'backoffBaseMs', 'retry.backoff_base'],
  ['retry', 'backoffMaxMs', 'retry.backoff_max'],
  ['circuitBreaker', 'windowMs', 'circuit_breaker.window'],
  ['circuitBreaker', 'resetTimeoutMs', 'circuit_breaker.reset_timeout'],
  ['outlierEjection', 'baseEjectionTimeMs', 'outlier_ejection.base_ejection_time'],
] as const)('%s without %s is refused: all fields must be set', (part, name, field) => {
  expect(faultsOf(withField(part, name, undefined))).toEqual([`policy.${field}: is required`]);
});

describe('timeouts', () => {
  const timeoutsOf = (timeoutMs: number | undefined, perTryTimeoutMs: number | undefined): string[] =>
    wrongFieldsOf({ ...bare, timeoutMs, perTryTimeoutMs });

  test.each([
    [1, 1],
    [3_600_000, 3_600_000],
    [undefined, 1],
    [undefined, 3_600_000],
    [1, undefined],
  ])('%s ms with %s ms a try are', (timeoutMs, perTryTimeoutMs) => {
    expect(timeoutsOf(timeoutMs, perTryTimeoutMs)).toEqual([]);
  });
  test.each([
    [0, undefined, 'timeout'],
    [3_600_001, undefined, 'timeout'],
    [0.5, undefined, 'timeout'],
    [undefined, 0, 'per_try_timeout'],
    [undefined, 3_600_001, 'per_try_timeout'],
    [undefined, 1.25, 'per_try_timeout'],
    // A try longer than the call.
    [1_000, 1_001, 'per_try_timeout'],
  ])('%s ms with %s ms a try are not', (timeoutMs, perTryTimeoutMs, field) => {
    expect(timeoutsOf(timeoutMs, perTryTimeoutMs)).toEqual([`policy.${field}`]);
  });
});

describe('retries', () => {
  const codesOf = (...codes: string[]): string[] => faultsOf(withField('retry', 'codes', codes));
  const hopeless = ['INVALID_ARGUMENT', 'UNIMPLEMENTED', 'UNAUTHENTICATED'];

  test('every code that another try could mend may be named, all together', () => {
    const codes = failureCodeNames.filter((code) => !hopeless.includes(code));
    expect(codes).toHaveLength(13);
    expect(codesOf(...codes)).toEqual([]);
  });
  test.each([...hopeless, 'OK', 'unavailable', '14', '', 'constructor'])('%j is not one of them', (code) => {
    expect(codesOf('UNAVAILABLE', code)).toEqual([
      'policy.retry.codes[1]: is not the name of a status code that another try could mend',
    ]);
  });
  test('none is refused, and so is one that stands twice', () => {
    expect(codesOf()).toEqual(['policy.retry.codes: is required']);
    expect(codesOf('ABORTED', 'UNKNOWN', 'ABORTED')).toEqual(['policy.retry.codes[2]: stands twice in this list']);
  });
  test('more than 16 are refused without looking at the rest', () => {
    expect(codesOf(...Array.from({ length: 17 }, () => 'ABORTED'))[0]).toBe(
      'policy.retry.codes: has more than 16 entries',
    );
    expect(codesOf(...Array.from({ length: 1_000 }, () => 'ABORTED')).length).toBeLessThan(20);
  });
  test('pauses may be equal, and never shrink', () => {
    const retry = { ...full.retry!, backoffBaseMs: 60_000, backoffMaxMs: 60_000 };
    expect(faultsOf({ ...full, retry })).toEqual([]);
    expect(wrongFieldsOf({ ...full, retry: { ...retry, backoffBaseMs: 60_001, backoffMaxMs: 60_001 } })).toEqual([
      'policy.retry.backoff_base',
    ]);
    expect(faultsOf({ ...full, retry: { ...retry, backoffMaxMs: 59_999 } })).toEqual([
      'policy.retry.backoff_max: must not be shorter than backoff_base',
    ]);
  });
});

describe('faults made on purpose', () => {
  const none = { delayPercent: 0, delayMs: undefined, abortPercent: 0, abortCode: '' };
  const of = (fields: object): string[] => wrongFieldsOf({ ...full, faultInjection: { ...none, ...fields } });

  test('a share needs what it is a share of', () => {
    expect(of({})).toEqual([]);
    expect(of({ delayPercent: 1 })).toEqual(['policy.fault_injection.delay']);
    expect(of({ abortPercent: 1 })).toEqual(['policy.fault_injection.abort_code']);
  });
  test('what is given is looked at even while its share is 0', () => {
    expect(of({ delayMs: 60_001 })).toEqual(['policy.fault_injection.delay']);
    expect(of({ abortCode: 'OK' })).toEqual(['policy.fault_injection.abort_code']);
    expect(of({ delayMs: 10, abortCode: 'ABORTED' })).toEqual([]);
  });
  test.each(failureCodeNames)('a call can be aborted with %s', (abortCode) => {
    expect(of({ abortPercent: 100, abortCode })).toEqual([]);
  });
});

test('a mirror needs a version', () => {
  expect(faultsOf(withField('mirroring', 'version', ''))).toEqual(['policy.mirroring.version: is required']);
});

test('enum values of a newer program are refused in a request', () => {
  expect(faultsOf({ ...full, loadBalancing: 'UNRECOGNIZED', localityPreference: 'UNRECOGNIZED' })).toEqual([
    'policy.load_balancing: must be ROUND_ROBIN, LEAST_PENDING or RING_HASH',
    'policy.locality_preference: must be NONE or SAME_ZONE',
  ]);
});

test('all that is wrong is told at once', () => {
  const value = exampleFullPolicy({
    defaultVersion: '-',
    timeoutMs: 0,
    rules: [exampleRule({ version: '' }), exampleRule({ version: '.' })],
    mirroring: { version: 'v1', percent: 101 },
  });
  expect(wrongFieldsOf(value).toSorted()).toEqual([
    'policy.default_version',
    'policy.mirroring.percent',
    'policy.per_try_timeout',
    'policy.rules[0]',
    'policy.rules[1].version',
    'policy.timeout',
  ]);
});
