import { readFile } from 'node:fs/promises';
import { stringify } from 'yaml';
import { describe, expect, test } from 'vitest';
import { manifestResources } from '../../src/cli/manifest-resources.ts';
import { ManifestError, parseDocument, parseManifest } from '../../src/cli/manifest.ts';
import { messageToJson } from '../../src/cli/message-to-json.ts';
import { policyFromDocument } from '../../src/cli/traffic-policy-document.ts';
import { policyFileSchema } from '../../src/cli/traffic-policy-schema.ts';
import { LoadBalancing, LocalityPreference, TrafficPolicy } from '../../src/client/index.ts';
import { policyToWire, policyValueFromWire } from '../../src/wire/traffic-policy-wire.ts';
import { exampleFullPolicy, examplePolicyKey } from '../fakes/example-traffic-policy.ts';
import { faultsOf } from './domain/traffic-policy-violations.ts';

const kind = { noun: 'policy', keys: 'traffic_policy', schema: policyFileSchema, repeatedNames: () => [] };

function readPolicy(text: string): TrafficPolicy {
  return policyFromDocument(examplePolicyKey, parseDocument({ file: 'p.yaml', text }, kind).traffic_policy);
}

const full = policyToWire({
  key: examplePolicyKey,
  ...exampleFullPolicy(),
  revision: 7,
  etag: '0123456789abcdef',
  createTimeMs: Date.UTC(2026, 0, 1),
  updateTimeMs: Date.UTC(2026, 0, 2),
  updatedBy: 'alice',
});

const everything = `
traffic_policy:
  default_version: v1
  split:
    - { version: v1, weight: 90 }
    - { version: v2, weight: 10 }
  rules:
    - name: employees
      attributes:
        - { name: x-user, exact: alice }
        - { name: x-region, prefix: eu- }
        - { name: user-agent, regex: '.*Firefox/1[0-9]{2}.*' }
        - { name: x-legacy, present: false }
        - { name: x-trace, present: true }
      method: shop.Cart/Add
      version: v2
    - method: shop.Cart/*
      split: [{ version: v3, weight: 1 }]
  timeout: 2.5s
  per_try_timeout: 800ms
  retry:
    attempts_max: 3
    codes: [UNAVAILABLE, RESOURCE_EXHAUSTED]
    backoff_base: 25ms
    backoff_max: 1m
    budget_percent: 12.5
    budget_floor_per_second: 10
  circuit_breaker:
    error_percent: 50
    volume_min: 20
    window: 10s
    reset_timeout: 5s
    concurrent_max: 100
    pending_max: 50
  load_balancing: LEAST_PENDING
  outlier_ejection: { consecutive_errors: 5, base_ejection_time: 30s, ejected_percent_max: 33.3 }
  locality_preference: LOCALITY_PREFERENCE_SAME_ZONE
  mirroring: { version: v3, percent: 1.5 }
  fault_injection: { delay_percent: 0.1, delay: 250ms, abort_percent: 0.2, abort_code: UNAVAILABLE }
`;

test('a file can say everything that the API takes', () => {
  expect(policyValueFromWire(readPolicy(everything))).toEqual(exampleFullPolicy());
});

test('what is printed can be read again, as YAML and as JSON', () => {
  const printed = messageToJson({ trafficPolicy: full });
  for (const text of [stringify(printed), JSON.stringify(printed, null, 2)]) {
    const read = readPolicy(text);
    expect(policyValueFromWire(read)).toEqual(policyValueFromWire(full));
    // What only the server sets is not sent back: an etag would refuse the copy of a policy to another environment.
    expect([read.revision, read.etag, read.updatedBy, read.createTime]).toEqual([0n, '', '', undefined]);
  }
});

test('what is not said is not sent', () => {
  const read = readPolicy('traffic_policy: { default_version: v1 }');
  expect(TrafficPolicy.encode(read).finish()).toEqual(
    TrafficPolicy.encode({
      ...TrafficPolicy.decode(new Uint8Array()),
      key: examplePolicyKey,
      defaultVersion: 'v1',
    }).finish(),
  );
});

test('the example has rules, timeouts and retries, all of them valid', async () => {
  const shop = new URL('../../deploy/examples/shop.yaml', import.meta.url);
  const { policies } = manifestResources(parseManifest({ file: 'shop.yaml', text: await readFile(shop, 'utf8') }));
  for (const policy of policies) expect(faultsOf(policyValueFromWire(policy))).toEqual([]);
  const cart = policies.find(({ key }) => key?.service === 'cart' && key.environment === 'production');
  expect(cart?.rules.map(({ name }) => name)).toEqual(['preview', 'employees', 'old-app', 'prices']);
  expect(cart?.loadBalancing).toBe(LoadBalancing.LOAD_BALANCING_LEAST_PENDING);
  expect(cart?.localityPreference).toBe(LocalityPreference.LOCALITY_PREFERENCE_SAME_ZONE);
  expect(policies.find(({ key }) => key?.service === 'payments')?.circuitBreaker).toBeDefined();
});

describe('a file that says it wrong is refused with its place', () => {
  test.each([
    ['', 'p.yaml:1:1: is empty; expected the key traffic_policy'],
    ['default_version: v1', 'p.yaml:1:1: unknown key "default_version"; known are traffic_policy'],
    [
      'traffic_policy:\n  defualt_version: v1',
      'p.yaml:2:3: traffic_policy: unknown key "defualt_version"; did you mean "default_version"?',
    ],
    [
      'traffic_policy: { timeout: 5 }',
      'p.yaml:1:28: traffic_policy.timeout: must be a duration such as 250ms, 1.5s or 2m',
    ],
    [
      'traffic_policy: { timeout: 5 minutes }',
      'p.yaml:1:28: traffic_policy.timeout: must be a duration such as 250ms, 1.5s or 2m',
    ],
    [
      'traffic_policy: { load_balancing: RING_HAHS }',
      'p.yaml:1:35: traffic_policy.load_balancing: must be one of ROUND_ROBIN, LEAST_PENDING, RING_HASH; did you mean "RING_HASH"?',
    ],
    [
      'traffic_policy: { load_balancing: 3 }',
      'p.yaml:1:35: traffic_policy.load_balancing: must be one of ROUND_ROBIN, LEAST_PENDING, RING_HASH',
    ],
    [
      'traffic_policy: { mirroring: { version: v1 } }',
      'p.yaml:1:30: traffic_policy.mirroring: the key "percent" is missing',
    ],
    [
      'traffic_policy: { mirroring: { version: v1, percent: much } }',
      'p.yaml:1:54: traffic_policy.mirroring.percent: must be a number',
    ],
    [
      'traffic_policy: { rules: [{ version: v1, attributes: [{ name: x }] }] }',
      'p.yaml:1:55: traffic_policy.rules[0].attributes[0]: needs exactly one of exact, prefix, regex, present',
    ],
    [
      'traffic_policy: { rules: [{ version: v1, attributes: [{ name: x, exact: a, prefix: a }] }] }',
      'p.yaml:1:55: traffic_policy.rules[0].attributes[0]: needs exactly one of exact, prefix, regex, present',
    ],
    [
      'traffic_policy: { rules: [{ version: v1, attributes: [{ name: x, present: yes }] }] }',
      'p.yaml:1:75: traffic_policy.rules[0].attributes[0].present: must be true or false',
    ],
    [
      'traffic_policy: { rules: [{ version: v1, attributes: [{ name: x, exact: 1 }] }] }',
      'p.yaml:1:73: traffic_policy.rules[0].attributes[0].exact: must be text; write it in quotes',
    ],
    ['traffic_policy: {}\n---\n', 'p.yaml:2:1: a second document begins; a policy is one document'],
  ])('%j', (text, message) => {
    expect(() => readPolicy(text)).toThrow(new ManifestError(message));
  });
});
