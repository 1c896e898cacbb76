import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { readSidecarConfig } from '../../sidecar/config.ts';
import { startSidecar, type Sidecar } from '../../sidecar/sidecar.ts';
import {
  createClient,
  FreshnessSource,
  message,
  Route,
  SelectionReason,
  Tenant,
  type ResolveResponse,
  type TrafficManagerClient,
} from '../../src/client/index.ts';
import type { TrafficPolicyValue } from '../../src/domain/traffic-policy.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { policyFromWire, policyToWire } from '../../src/wire/traffic-policy-wire.ts';
import { attribute, exampleFullPolicy, exampleRule, prefix, present, regex } from '../fakes/example-traffic-policy.ts';
import { startTestReplicas, type TestReplicas } from '../support/control-plane.ts';

const key = { tenant: 'acme', service: 'cart', environment: 'production' };

let replicas: TestReplicas;
let sidecar: Sidecar;
let operator: TrafficManagerClient;
let app: TrafficManagerClient;

beforeAll(async () => {
  replicas = await startTestReplicas(inject('postgresUrl'), 1);
  const [controlPlane] = replicas.replicas;
  operator = controlPlane!.client;
  await operator.tenants.createTenant({ tenant: message(Tenant, { tenant: key.tenant }) });
  for (const version of ['v1', 'v2', 'v3'])
    await operator.routes.createRoute({
      route: message(Route, {
        key: { ...key, version },
        endpoints: [{ url: `grpc://cart-${version}:1`, zone: '', priority: 0, labels: {} }],
      }),
    });
  const config = readSidecarConfig({
    TM_SIDECAR_ADDRESS: '127.0.0.1:0',
    TM_SIDECAR_SOCKET: 'off',
    TM_SIDECAR_SOURCE: `grpc://${controlPlane!.address}`,
    TM_SIDECAR_TENANTS: key.tenant,
  });
  sidecar = await startSidecar(config, createLogger('sidecar', 'silent'));
  app = createClient({ address: sidecar.addresses[0]!, defaults: { timeoutMs: 30_000 } });
  // Answered from the first snapshot: from now on the sidecar follows.
  await app.resolver.resolve({ key: { ...key, version: 'v1' } });
});
afterAll(async () => {
  app.close();
  await sidecar[Symbol.asyncDispose]();
  await replicas[Symbol.asyncDispose]();
});

async function setPolicy(value: TrafficPolicyValue): Promise<bigint> {
  const provenance = { revision: 0, etag: '', createTimeMs: 0, updateTimeMs: 0, updatedBy: '' };
  const { revision } = await operator.policies.setTrafficPolicy({
    trafficPolicy: policyToWire({ key, ...value, ...provenance }),
  });
  return revision;
}

const rules = [
  exampleRule({
    name: 'firefox',
    attributes: [attribute('user-agent', regex('.*Firefox/[0-9]+.*')), attribute('x-off', present(false))],
    version: 'v3',
  }),
  exampleRule({ attributes: [attribute('x-region', prefix('eu-'))], method: 'shop.Cart/*', version: 'v2' }),
];
const minimal: TrafficPolicyValue = { defaultVersion: 'v1', split: [], rules: [] };

const calls = [
  { attributes: { 'user-agent': 'Mozilla/5.0 Firefox/145.0' }, method: '' },
  { attributes: { 'x-region': 'eu-west-1' }, method: 'shop.Cart/Add' },
  { attributes: { 'user-agent': 'Mozilla/5.0 Firefox/145.0', 'x-off': '' }, method: 'shop.Cart/Add' },
];
const { SELECTION_REASON_MATCH_RULE, SELECTION_REASON_DEFAULT_VERSION } = SelectionReason;
const expected = [
  ['v3', SELECTION_REASON_MATCH_RULE, 'firefox'],
  ['v2', SELECTION_REASON_MATCH_RULE, '#1'],
  ['v1', SELECTION_REASON_DEFAULT_VERSION, ''],
];

function decisionOf({ route, selectionReason, matchRule }: ResolveResponse) {
  return [route?.key?.version, selectionReason, matchRule];
}

test('a sidecar follows the rules of a policy from its memory, as soon as it has the policy', async () => {
  const revision = await setPolicy({ ...minimal, rules });
  const consistency = { requirement: { $case: 'minRevision' as const, value: revision } };
  const request = (call: (typeof calls)[number]) => ({ key: { ...key, version: '' }, consistency, ...call });
  const answers = await Promise.all(calls.map((call) => app.resolver.resolve(request(call))));
  expect(answers.map(decisionOf)).toEqual(expected);
  for (const { freshness } of answers) expect(freshness?.source).toBe(FreshnessSource.FRESHNESS_SOURCE_SNAPSHOT);

  // Without the first rule.
  const next = await setPolicy({ ...minimal, rules: rules.slice(1) });
  const later = { requirement: { $case: 'minRevision' as const, value: next } };
  const again = await app.resolver.resolve({ ...request(calls[0]!), consistency: later });
  expect(decisionOf(again)).toEqual(['v1', SELECTION_REASON_DEFAULT_VERSION, '']);
});

test('a lookup that a sidecar passes on is decided by the same rules', async () => {
  await setPolicy({ ...minimal, rules });
  const consistency = { requirement: { $case: 'strong' as const, value: true } };
  const answers = await Promise.all(
    calls.map((call) => app.resolver.resolve({ key: { ...key, version: '' }, consistency, ...call })),
  );
  expect(answers.map(decisionOf)).toEqual(expected);
  for (const { freshness } of answers) expect(freshness?.source).toBe(FreshnessSource.FRESHNESS_SOURCE_CONTROL_PLANE);
});

test('an attribute and a label of any name get through, also what objects have of their own', async () => {
  const named = Object.fromEntries([['__proto__', 'eu-1']]);
  const { revision: created } = await operator.routes.createRoute({
    route: message(Route, {
      key: { ...key, version: 'v4' },
      labels: named,
      endpoints: [{ url: 'grpc://cart-v4:1', zone: '', priority: 0, labels: named }],
    }),
  });
  const rule = exampleRule({ attributes: [attribute('__proto__', prefix('eu-'))], version: 'v4' });
  const revision = await setPolicy({ ...minimal, rules: [rule] });
  expect(revision).toBe(created + 1n);
  for (const requirement of [
    { $case: 'minRevision' as const, value: revision },
    { $case: 'strong' as const, value: true },
  ]) {
    const lookup = { key: { ...key, version: '' }, attributes: named, consistency: { requirement } };
    const { route } = await app.resolver.resolve(lookup);
    expect(route?.key?.version).toBe('v4');
    for (const labels of [route?.labels, route?.endpoints[0]?.labels])
      expect(Object.entries(labels ?? {})).toEqual([['__proto__', 'eu-1']]);
  }
});

test('everything that a policy says reaches the app', async () => {
  const revision = await setPolicy(exampleFullPolicy());
  const consistency = { requirement: { $case: 'minRevision' as const, value: revision } };
  const { trafficPolicy } = await app.resolver.resolve({ key: { ...key, version: 'v1' }, consistency });
  expect(policyFromWire(trafficPolicy!)).toMatchObject({ key, ...exampleFullPolicy() });
});

test('a policy that is deleted is gone from the sidecar too', async () => {
  await setPolicy({ ...minimal, rules });
  const { revision } = await operator.policies.deleteTrafficPolicy({ key });
  const consistency = { requirement: { $case: 'minRevision' as const, value: revision } };
  const lookup = app.resolver.resolve({ key: { ...key, version: '' }, consistency, ...calls[0]! });
  await expect(lookup).rejects.toMatchObject({ code: 'NOT_FOUND', reason: 'VERSION_NOT_SELECTED' });
  const answer = await app.resolver.resolve({ key: { ...key, version: 'v1' } });
  expect(answer.trafficPolicy).toBeUndefined();
});
