import { describe, expect, test } from 'vitest';
import { DomainError } from '../../../src/domain/domain-error.ts';
import type { Endpoint } from '../../../src/domain/endpoint.ts';
import { limits } from '../../../src/domain/limits.ts';
import { validateRouteKey, validateRouteValue, type RouteValue } from '../../../src/domain/route.ts';
import { validateTenant } from '../../../src/domain/tenant.ts';
import { validateTrafficPolicyKey, validateTrafficPolicyValue } from '../../../src/domain/traffic-policy.ts';
import { Violations } from '../../../src/domain/validation.ts';
import { exampleEndpoint, exampleKey, exampleRouteValue } from '../../fakes/example-configuration.ts';

function fieldsOf(check: (violations: Violations) => void): string[] {
  const violations = new Violations();
  check(violations);
  try {
    violations.assertNone();
    return [];
  } catch (error) {
    if (error instanceof DomainError) return error.violations.map(({ field }) => field);
    throw error;
  }
}

const fieldsOfRoute = (fields: Partial<RouteValue>): string[] =>
  fieldsOf((violations) => validateRouteValue(violations, 'route', exampleRouteValue(fields)));
const endpointsOf = (...endpoints: Partial<Endpoint>[]) => ({
  endpoints: endpoints.map((fields, index) => exampleEndpoint({ url: `grpc://host-${index}`, ...fields })),
});

describe("a route's endpoints", () => {
  test.for([
    ['1', endpointsOf({})],
    ['1,000', endpointsOf(...Array.from({ length: 1_000 }, () => ({})))],
    ['weights from 0 to 10,000', endpointsOf({ weight: 0 }, { weight: 10_000 })],
    ['priorities from 0 to 127', endpointsOf({ priority: 0 }, { priority: 127 })],
    ['a zone of 63 characters', endpointsOf({ zone: 'z'.repeat(63) })],
    ['labels of their own', endpointsOf({ labels: { rack: '7' } })],
    ['one host with two ports', endpointsOf({ url: 'grpc://cart:1' }, { url: 'grpc://cart:2' })],
  ] as const)('may be or have %s', ([, fields]) => {
    expect(fieldsOfRoute(fields)).toEqual([]);
  });

  test.for([
    ['none', endpointsOf(), ['route.endpoints']],
    ['more than 1,000', endpointsOf(...Array.from({ length: 1_001 }, () => ({}))), ['route.endpoints']],
    ['a URL twice', endpointsOf({ url: 'grpc://a' }, {}, { url: 'grpc://a' }), ['route.endpoints[2].url']],
    ['a weight below 0', endpointsOf({}, { weight: -1 }), ['route.endpoints[1].weight']],
    ['a weight above 10,000', endpointsOf({ weight: 10_001 }), ['route.endpoints[0].weight']],
    ['weights that are all 0', endpointsOf({ weight: 0 }, { weight: 0 }), ['route.endpoints']],
    ['a priority below 0', endpointsOf({ priority: -1 }), ['route.endpoints[0].priority']],
    ['a priority above 127', endpointsOf({ priority: 128 }), ['route.endpoints[0].priority']],
    ['a zone of 64 characters', endpointsOf({ zone: 'z'.repeat(64) }), ['route.endpoints[0].zone']],
    ['a control character in a zone', endpointsOf({ zone: '\u0000' }), ['route.endpoints[0].zone']],
    ['an empty label key', endpointsOf({ labels: { '': '' } }), ['route.endpoints[0].labels[""]']],
  ] as const)('are refused with %s', ([, fields, wrong]) => {
    expect(fieldsOfRoute(fields)).toEqual(wrong);
  });

  test('are told all that is wrong with each of them', () => {
    const fields = endpointsOf(
      { url: '', weight: -1, priority: -1, zone: '\n', labels: { '': '' } },
      { weight: 10_001 },
    );
    expect(fieldsOfRoute({ ...fields, labels: { '': 'v' } })).toEqual([
      'route.endpoints[0].url',
      'route.endpoints[0].weight',
      'route.endpoints[0].priority',
      'route.endpoints[0].zone',
      'route.endpoints[0].labels[""]',
      'route.endpoints[1].weight',
      'route.labels[""]',
    ]);
  });
});

describe('a route', () => {
  /** 1,000 endpoints whose URLs make the route's canonical text as long as wanted. */
  function routeOfLength(length: number): Partial<RouteValue> {
    const urls = Array.from({ length: 1_000 }, (_, index) => `http://host-${index}/`);
    const text = JSON.stringify(['ACTIVE', undefined, {}, urls.map((url) => [url, 1, '', 0, {}])]);
    const missing = length - text.length;
    const padded = urls.map((url, index) => {
      return url + 'p'.repeat(Math.floor(missing / 1_000) + (index < missing % 1_000 ? 1 : 0));
    });
    return endpointsOf(...padded.map((url) => ({ url })));
  }

  test('may be 256 KiB, and no byte more', () => {
    expect(fieldsOfRoute(routeOfLength(limits.routeBytesMax))).toEqual([]);
    expect(fieldsOfRoute(routeOfLength(limits.routeBytesMax + 1))).toEqual(['route']);
  });

  test('is told everything that is wrong with its key', () => {
    const key = exampleKey('', { tenant: 'A', service: '', environment: 'x.y' });
    expect(fieldsOf((violations) => validateRouteKey(violations, 'key', key))).toEqual([
      'key.tenant',
      'key.service',
      'key.environment',
      'key.version',
    ]);
  });
});

describe('a traffic policy', () => {
  const fieldsOfPolicy = (defaultVersion: string, ...split: [version: string, weight: number][]): string[] =>
    fieldsOf((violations) =>
      validateTrafficPolicyValue(violations, 'p', {
        defaultVersion,
        split: split.map(([version, weight]) => ({ version, weight })),
        rules: [],
      }),
    );
  const branches = (count: number) => Array.from({ length: count }, (_, i): [string, number] => [`v${i}`, 1]);

  test('may have a default version, a split of up to 64 branches, or both', () => {
    expect(fieldsOfPolicy('RC.1')).toEqual([]);
    expect(fieldsOfPolicy('', ['v1', 0], ['v2', 10_000])).toEqual([]);
    expect(fieldsOfPolicy('v1', ...branches(64))).toEqual([]);
  });

  test.for([
    ['neither', fieldsOfPolicy(''), ['p']],
    ['a default version that is none', fieldsOfPolicy('v..1'), ['p.default_version']],
    ['65 branches', fieldsOfPolicy('', ...branches(65)), ['p.split']],
    ['a branch without a version', fieldsOfPolicy('', ['', 1]), ['p.split[0].version']],
    ['a version twice', fieldsOfPolicy('', ['v1', 1], ['v1', 1]), ['p.split[1].version']],
    ['a weight below 0', fieldsOfPolicy('', ['v1', 1], ['v2', -1]), ['p.split[1].weight']],
    ['a weight above 10,000', fieldsOfPolicy('', ['v1', 10_001]), ['p.split[0].weight']],
    ['weights that sum to 0', fieldsOfPolicy('v1', ['v1', 0]), ['p.split']],
  ] as const)('is refused with %s', ([, found, wrong]) => {
    expect(found).toEqual(wrong);
  });

  test('is told everything that is wrong with its key', () => {
    const key = { tenant: '', service: '-', environment: 'É' };
    const fields = fieldsOf((violations) => validateTrafficPolicyKey(violations, 'key', key));
    expect(fields).toEqual(['key.tenant', 'key.service', 'key.environment']);
  });
});

describe('a tenant', () => {
  const fieldsOfTenant = (tenant: string, displayName: string): string[] =>
    fieldsOf((violations) => validateTenant(violations, 'tenant', tenant, { displayName, quotas: {} }));

  test('has a display name of up to 255 characters, or none', () => {
    expect(fieldsOfTenant('acme', '')).toEqual([]);
    expect(fieldsOfTenant('acme', '👋'.repeat(255))).toEqual([]);
    expect(fieldsOfTenant('acme', 'x'.repeat(256))).toEqual(['tenant.display_name']);
    expect(fieldsOfTenant('ACME', 'a\u0000')).toEqual(['tenant.tenant', 'tenant.display_name']);
  });
});
