import fc from 'fast-check';
import type { Change, ChangeSubject } from '../../src/domain/change.ts';
import type { Endpoint } from '../../src/domain/endpoint.ts';
import type { Lifecycle, Route, RouteKey } from '../../src/domain/route.ts';
import type { Tenant } from '../../src/domain/tenant.ts';
import type { TrafficPolicy, TrafficPolicyKey } from '../../src/domain/traffic-policy.ts';

/** Anything that the domain's types allow and a validated request can lead to. */

const name = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?$/);
const version = fc.stringMatching(/^[A-Za-z0-9]([-A-Za-z0-9]{0,8}[A-Za-z0-9])?(\.[A-Za-z0-9]{1,5}){0,3}$/);
const revision = fc.oneof(fc.integer({ min: 1, max: 1_000 }), fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }));
const timeMs = fc.oneof(
  fc.integer({ min: 1, max: 4_102_444_800_000 }),
  // Just before a second, and with a millisecond alone.
  fc.constantFrom(1, 999, 1_000, 1_001, 1_767_225_599_999),
);
const text = fc
  .string({ unit: 'grapheme', maxLength: 40 })
  .filter((each) => each.isWellFormed() && !/[\p{Cc}\uFFFD]/u.test(each));

/** What an actor and a correlation id may be. */
const printableAscii = fc.string({ unit: 'grapheme-ascii', maxLength: 40 });

const labelKey = fc
  .oneof(text, fc.constantFrom('__proto__', 'constructor', 'toString', '1', '10', '2'))
  .filter((key) => key !== '');

const labels = fc.dictionary(labelKey, text, { maxKeys: 5, noNullPrototype: true });

const endpoint: fc.Arbitrary<Endpoint> = fc.record({
  url: fc.webUrl(),
  weight: fc.oneof(fc.constantFrom(0, 1, 10_000), fc.integer({ min: 0, max: 10_000 })),
  zone: text,
  priority: fc.integer({ min: 0, max: 127 }),
  labels,
});

const provenance = {
  revision,
  etag: fc.stringMatching(/^[0-9a-f]{16}$/),
  createTimeMs: timeMs,
  updateTimeMs: timeMs,
  updatedBy: printableAscii,
};

const routeKey: fc.Arbitrary<RouteKey> = fc.record({ tenant: name, service: name, environment: name, version });

const lifecycle = fc.constantFrom<Lifecycle>(
  { state: 'ACTIVE' },
  { state: 'INACTIVE' },
  { state: 'DELETED', deletedFrom: 'ACTIVE' },
  { state: 'DELETED', deletedFrom: 'INACTIVE' },
);

export const route: fc.Arbitrary<Route> = fc.record({
  key: routeKey,
  endpoints: fc.array(endpoint, { minLength: 1, maxLength: 5 }),
  labels,
  lifecycle,
  ...provenance,
});

const policyKey: fc.Arbitrary<TrafficPolicyKey> = fc.record({ tenant: name, service: name, environment: name });

export const policy: fc.Arbitrary<TrafficPolicy> = fc.record({
  key: policyKey,
  defaultVersion: fc.oneof(fc.constant(''), version),
  split: fc.array(fc.record({ version, weight: fc.integer({ min: 0, max: 10_000 }) }), { maxLength: 5 }),
  rules: fc.constant([]),
  ...provenance,
});

/** 0 is a quota, too: it allows nothing. */
const quota = fc.integer({ min: 0, max: 1_000_000 });

export const tenant: fc.Arbitrary<Tenant> = fc.record({
  tenant: name,
  displayName: text,
  quotas: fc.record(
    { routesMax: quota, watchersMax: quota, writesPerSecond: quota, lookupsPerSecond: quota },
    { requiredKeys: [], noNullPrototype: true },
  ),
  state: fc.constantFrom('ACTIVE', 'DELETED'),
  etag: provenance.etag,
  revision,
  ownRevision: revision,
  createTimeMs: timeMs,
});

const subject: fc.Arbitrary<ChangeSubject> = fc.oneof(
  fc.record({ kind: fc.constant('route' as const), before: fc.option(route, { nil: undefined }), after: route }),
  fc.record({
    kind: fc.constant('traffic_policy' as const),
    key: policyKey,
    before: fc.option(policy, { nil: undefined }),
    after: fc.option(policy, { nil: undefined }),
  }),
  fc.record({ kind: fc.constant('tenant' as const), before: fc.option(tenant, { nil: undefined }), after: tenant }),
);

export const change: fc.Arbitrary<Change> = fc.record({
  tenant: name,
  revision,
  commitRevision: revision,
  commitId: fc.stringMatching(/^[0-9a-f]{16}$/),
  action: fc.constantFrom('CREATED', 'UPDATED', 'ACTIVATED', 'DEACTIVATED', 'DELETED', 'UNDELETED'),
  actor: printableAscii,
  correlationId: printableAscii,
  commitTimeMs: timeMs,
  subject,
});
