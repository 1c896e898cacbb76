import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import {
  ChangeAction,
  message,
  Route,
  SelectionReason,
  Tenant,
  type TrafficManagerClient,
  type TrafficManagerError,
  type TrafficPolicy,
} from '../../src/client/index.ts';
import { trafficPolicyValueOf, type TrafficPolicyValue } from '../../src/domain/traffic-policy.ts';
import { SetTrafficPolicyRequest } from '../../src/gen/trafficmanager/v1/traffic_policy_service.ts';
import { policyFromWire, policyToWire } from '../../src/wire/traffic-policy-wire.ts';
import { attribute, exact, exampleFullPolicy, exampleRule, regex } from '../fakes/example-traffic-policy.ts';
import { callRaw, startTestReplicas, type TestReplicas } from '../support/control-plane.ts';

let replicas: TestReplicas;
let client: TrafficManagerClient;
let other: TrafficManagerClient;

beforeAll(async () => {
  replicas = await startTestReplicas(inject('postgresUrl'), 2);
  const [first, second] = replicas.replicas;
  client = first!.client;
  other = second!.client;
});
afterAll(async () => await replicas[Symbol.asyncDispose]());

/** A tenant of its own with a cart of three versions. */
async function newTenant(tenant: string, ...services: string[]) {
  await client.tenants.createTenant({ tenant: message(Tenant, { tenant }) });
  for (const service of ['cart', ...services])
    for (const version of ['v1', 'v2', 'v3'])
      await client.routes.createRoute({
        route: message(Route, {
          key: { tenant, service, environment: 'production', version },
          endpoints: [{ url: `grpc://${service}-${version}:1`, zone: '', priority: 0, labels: {} }],
        }),
      });
  return { tenant, service: 'cart', environment: 'production' };
}

type Key = { readonly tenant: string; readonly service: string; readonly environment: string };

function wireOf(key: Key, value: TrafficPolicyValue, etag = ''): TrafficPolicy {
  return policyToWire({ key, ...value, revision: 0, etag, createTimeMs: 0, updateTimeMs: 0, updatedBy: '' });
}

const set = (
  key: Key,
  value: TrafficPolicyValue,
  options: { etag?: string; requestId?: string; validateOnly?: boolean } = {},
) => {
  const { etag = '', ...call } = options;
  return client.policies.setTrafficPolicy({ trafficPolicy: wireOf(key, value, etag), ...call });
};

const minimal: TrafficPolicyValue = { defaultVersion: 'v1', split: [], rules: [] };

async function failureOf(call: Promise<unknown>): Promise<TrafficManagerError> {
  return await call.then(
    () => {
      throw new Error('it did not fail');
    },
    (error: unknown) => error as TrafficManagerError,
  );
}

test('everything that a policy can say comes back, from every replica, and is stored as exactly that', async () => {
  const key = await newTenant('whole');
  const written = await set(key, exampleFullPolicy());
  expect(written.change).toMatchObject({ action: ChangeAction.CHANGE_ACTION_CREATED, revision: written.revision });
  const read = (await other.policies.getTrafficPolicy({ key })).trafficPolicy!;
  expect(read).toEqual(written.trafficPolicy);
  expect(trafficPolicyValueOf(policyFromWire(read))).toEqual(exampleFullPolicy());
  expect(read).toMatchObject({ revision: written.revision, updatedBy: 'anonymous' });

  const database = new Client({ connectionString: replicas.databaseUrl });
  await database.connect();
  const { rows } = await database.query<{ value: unknown; after: { value: unknown } }>(
    `SELECT p.value, c.after FROM traffic_policies p JOIN changes c USING (tenant, revision) WHERE p.tenant = 'whole'`,
  );
  await database.end();
  expect(rows).toHaveLength(1);
  expect(rows[0]?.value).toEqual(exampleFullPolicy());
  expect(rows[0]?.after.value).toEqual(exampleFullPolicy());
});

test('setting what is there changes nothing, and the smallest difference is a change', async () => {
  const key = await newTenant('equal');
  const first = await set(key, exampleFullPolicy());
  const again = await set(key, exampleFullPolicy());
  expect(again).toEqual({ trafficPolicy: first.trafficPolicy, revision: first.revision, change: undefined });
  const changed = await set(key, exampleFullPolicy({ mirroring: { version: 'v3', percent: 1.5000001 } }));
  expect(changed.change).toMatchObject({ action: ChangeAction.CHANGE_ACTION_UPDATED });
  expect(changed.change?.resource).toMatchObject({
    value: { before: { mirroring: { percent: 1.5 } }, after: { mirroring: { percent: 1.5000001 } } },
  });
  // What is left out is gone: a policy is replaced as a whole.
  const { trafficPolicy } = await set(key, minimal);
  expect(trafficPolicyValueOf(policyFromWire(trafficPolicy!))).toEqual(minimal);
});

test('everything that is wrong is told at once, as what it is called in the request', async () => {
  const key = await newTenant('wrong');
  const trafficPolicy = wireOf(key, exampleFullPolicy());
  trafficPolicy.loadBalancing = 99 as never;
  trafficPolicy.localityPreference = -7 as never;
  trafficPolicy.timeout = { seconds: 1n, nanos: 500_000 };
  trafficPolicy.perTryTimeout = { seconds: -1n, nanos: 0 };
  trafficPolicy.retry!.backoffBase = undefined;
  trafficPolicy.outlierEjection!.ejectedPercentMax = Number.NaN;
  trafficPolicy.rules[0]!.attributes[2]!.predicate = { $case: 'regex', value: String.raw`(.)\1` };
  trafficPolicy.rules[1]!.attributes.push({ name: 'x', predicate: undefined });
  const bytes = SetTrafficPolicyRequest.encode({ trafficPolicy, requestId: '', validateOnly: false }).finish();
  const path = '/trafficmanager.v1.TrafficPolicyService/SetTrafficPolicy';
  const { code, status } = await callRaw(replicas.replicas[0]!.address, path, bytes);
  expect(code).toBe(3);
  expect(status?.badRequests[0]?.fieldViolations.map(({ field }) => field).toSorted()).toEqual(
    [
      'load_balancing',
      'locality_preference',
      'outlier_ejection.ejected_percent_max',
      'per_try_timeout',
      'retry.backoff_base',
      'rules[0].attributes[2].regex',
      'rules[1].attributes[0]',
      'timeout',
    ].map((field) => `traffic_policy.${field}`),
  );
  expect((await failureOf(client.policies.getTrafficPolicy({ key }))).reason).toBe('TRAFFIC_POLICY_NOT_FOUND');
});

describe('every version that a policy names must have a route', () => {
  const naming: readonly [where: string, value: TrafficPolicyValue][] = [
    ['as its default', { ...minimal, defaultVersion: 'v9' }],
    [
      'in its split',
      {
        ...minimal,
        split: [
          { version: 'v9', weight: 0 },
          { version: 'v1', weight: 1 },
        ],
      },
    ],
    ['in a rule', { ...minimal, rules: [exampleRule({ version: 'v9' })] }],
    ['in the split of a rule', { ...minimal, rules: [exampleRule({ split: [{ version: 'v9', weight: 1 }] })] }],
    ['as its mirror', { ...minimal, mirroring: { version: 'v9', percent: 0 } }],
  ];
  let key: Key;
  beforeAll(async () => {
    key = await newTenant('named');
  });

  test.each(naming)('%s', async (_where, value) => {
    expect(await failureOf(set(key, value))).toMatchObject({
      code: 'FAILED_PRECONDITION',
      reason: 'VERSION_NOT_FOUND',
      metadata: { version: 'v9', policy: 'named/cart/production' },
    });
  });
  test.each(naming)('and keep it while it is named %s', async (_where, value) => {
    const withV3 = JSON.parse(JSON.stringify(value).replaceAll('v9', 'v3')) as TrafficPolicyValue;
    await set(key, withV3);
    expect(await failureOf(client.routes.deleteRoute({ key: { ...key, version: 'v3' } }))).toMatchObject({
      code: 'FAILED_PRECONDITION',
      reason: 'VERSION_IN_USE',
    });
  });
});

describe('deleting a policy', () => {
  test('is a change that remembers it, after which there is none, anywhere', async () => {
    const key = await newTenant('deleted');
    const { trafficPolicy, revision } = await set(key, exampleFullPolicy());
    const dry = await client.policies.deleteTrafficPolicy({ key, validateOnly: true });
    expect(dry.change?.action).toBe(ChangeAction.CHANGE_ACTION_DELETED);
    expect((await client.policies.getTrafficPolicy({ key })).trafficPolicy).toEqual(trafficPolicy);

    const deleted = await client.policies.deleteTrafficPolicy({ key });
    expect(deleted.revision).toBe(revision + 1n);
    expect(deleted.change).toMatchObject({
      action: ChangeAction.CHANGE_ACTION_DELETED,
      revision: deleted.revision,
      resource: { $case: 'trafficPolicy', value: { key, before: trafficPolicy, after: undefined } },
    });
    for (const replica of [client, other]) {
      expect(await failureOf(replica.policies.getTrafficPolicy({ key }))).toMatchObject({
        code: 'NOT_FOUND',
        reason: 'TRAFFIC_POLICY_NOT_FOUND',
      });
      const consistency = { requirement: { $case: 'minRevision' as const, value: deleted.revision } };
      const lookup = { key: { ...key, version: '' }, consistency };
      expect((await failureOf(replica.resolver.resolve(lookup))).reason).toBe('VERSION_NOT_SELECTED');
      expect((await replica.policies.listTrafficPolicies({ tenant: key.tenant })).trafficPolicies).toEqual([]);
    }
    // Nothing names the versions any longer.
    await client.routes.deleteRoute({ key: { ...key, version: 'v3' } });
  });

  test('is refused where there is none, and when it has changed since', async () => {
    const key = await newTenant('undeletable');
    expect(await failureOf(client.policies.deleteTrafficPolicy({ key }))).toMatchObject({
      code: 'NOT_FOUND',
      reason: 'TRAFFIC_POLICY_NOT_FOUND',
    });
    const { trafficPolicy } = await set(key, minimal);
    expect(await failureOf(client.policies.deleteTrafficPolicy({ key, etag: 'other' }))).toMatchObject({
      code: 'ABORTED',
      reason: 'ETAG_MISMATCH',
    });
    await client.policies.deleteTrafficPolicy({ key, etag: trafficPolicy!.etag });
    expect((await failureOf(client.policies.deleteTrafficPolicy({ key: { ...key, tenant: 'nobody' } }))).reason).toBe(
      'TENANT_NOT_FOUND',
    );
    expect((await failureOf(client.policies.deleteTrafficPolicy({}))).fieldViolations).toEqual([
      { field: 'key', description: 'is required' },
    ]);
  });

  test('repeated with its request id is answered as the first time, on any replica', async () => {
    const key = await newTenant('repeated');
    await set(key, exampleFullPolicy());
    const first = await client.policies.deleteTrafficPolicy({ key, requestId: 'r-1' });
    expect(await other.policies.deleteTrafficPolicy({ key, requestId: 'r-1' })).toEqual(first);
    await set(key, minimal);
    expect(await client.policies.deleteTrafficPolicy({ key, requestId: 'r-1' })).toEqual(first);
    expect((await client.policies.getTrafficPolicy({ key })).trafficPolicy?.defaultVersion).toBe('v1');
    expect(await failureOf(client.policies.deleteTrafficPolicy({ key, requestId: 'r-1', etag: 'e' }))).toMatchObject({
      reason: 'REQUEST_ID_REUSED',
    });
  });

  test('is followed by a policy that begins anew', async () => {
    const key = await newTenant('reborn');
    const { trafficPolicy: before } = await set(key, minimal);
    await client.policies.deleteTrafficPolicy({ key });
    const { trafficPolicy: after, change } = await set(key, minimal);
    expect(change?.action).toBe(ChangeAction.CHANGE_ACTION_CREATED);
    expect(after?.etag).not.toBe(before?.etag);
    expect(after!.createTime!.getTime()).toBeGreaterThanOrEqual(before!.createTime!.getTime());
  });
});

describe('the list of policies', () => {
  const services = ['b', 'a-b', 'ab', 'a'];
  let revision: bigint;
  beforeAll(async () => {
    await newTenant('listed', ...services);
    for (const service of [...services, 'cart'])
      ({ revision } = await set({ tenant: 'listed', service, environment: 'production' }, minimal));
  });
  const listed = async (request: Parameters<TrafficManagerClient['policies']['listTrafficPolicies']>[0]) => {
    const { trafficPolicies, ...rest } = await other.policies.listTrafficPolicies({ tenant: 'listed', ...request });
    return { services: trafficPolicies.map(({ key }) => key!.service), ...rest };
  };

  test('is in the bytewise order of their keys, with the revision that it was read at', async () => {
    expect(await listed({})).toEqual({ services: ['a', 'a-b', 'ab', 'b', 'cart'], nextPageToken: '', revision });
    expect(await listed({ service: 'ab' })).toEqual({ services: ['ab'], nextPageToken: '', revision });
    expect((await listed({ service: 'nothing' })).services).toEqual([]);
  });
  test('comes in pages, the last of which says so', async () => {
    const found: string[] = [];
    let pageToken = '';
    let pages = 0;
    do {
      const page = await listed({ pageSize: 2, pageToken });
      found.push(...page.services);
      pageToken = page.nextPageToken;
      pages++;
    } while (pageToken !== '');
    expect([found, pages]).toEqual([['a', 'a-b', 'ab', 'b', 'cart'], 3]);
    expect((await listed({ pageSize: 5 })).nextPageToken).toBe('');
  });
  test('goes on only with the question that it began with', async () => {
    const { nextPageToken: pageToken } = await listed({ pageSize: 2 });
    expect((await listed({ pageSize: 1, pageToken })).services).toEqual(['ab']);
    for (const wrong of [{ service: 'a', pageToken }, { pageToken: 'AAAA' }])
      expect((await failureOf(listed(wrong))).fieldViolations.map(({ field }) => field)).toEqual(['page_token']);
    const { nextPageToken: routeToken } = await client.routes.listRoutes({ tenant: 'listed', pageSize: 1 });
    expect((await failureOf(listed({ pageToken: routeToken }))).fieldViolations).toHaveLength(1);
  });
  test('is refused for a tenant that does not exist, and for fields that are wrong', async () => {
    expect((await failureOf(listed({ tenant: 'nobody' }))).reason).toBe('TENANT_NOT_FOUND');
    const error = await failureOf(listed({ tenant: 'A', service: '_', pageSize: -1 }));
    expect(error.fieldViolations.map(({ field }) => field)).toEqual(['tenant', 'service', 'page_size']);
  });
});

test('lookups follow the rules, on every replica, and say which one decided', async () => {
  const key = await newTenant('ruled');
  const rules = [
    exampleRule({ name: 'staff', attributes: [attribute('x-user', regex('.+@acme[.]example'))], version: 'v3' }),
    exampleRule({ attributes: [attribute('x-beta', exact('yes'))], method: 'shop.Cart/*', version: 'v2' }),
  ];
  const { revision } = await set(key, { ...minimal, rules });
  const consistency = { requirement: { $case: 'minRevision' as const, value: revision } };
  const requests = [
    { attributes: { 'x-user': 'alice@acme.example' }, method: '' },
    { attributes: { 'x-user': 'alice@acme.example.org', 'x-beta': 'yes' }, method: 'shop.Cart/Add' },
    { attributes: { 'x-beta': 'yes' }, method: 'shop.Stock/Add' },
  ].map((fields) => ({ key: { ...key, version: '' }, hashKey: '', consistency, ...fields }));
  const expected = [
    ['v3', SelectionReason.SELECTION_REASON_MATCH_RULE, 'staff'],
    ['v2', SelectionReason.SELECTION_REASON_MATCH_RULE, '#1'],
    ['v1', SelectionReason.SELECTION_REASON_DEFAULT_VERSION, ''],
  ];
  for (const replica of [client, other]) {
    const answers = await Promise.all(requests.map((request) => replica.resolver.resolve(request)));
    expect(answers.map((answer) => [answer.route?.key?.version, answer.selectionReason, answer.matchRule])).toEqual(
      expected,
    );
    expect(answers[0]?.trafficPolicy?.rules).toHaveLength(2);
    const { results } = await replica.resolver.batchResolve({ requests });
    expect(results.map(({ result }) => (result?.$case === 'response' ? result.value : undefined))).toMatchObject(
      answers.map(({ route, matchRule }) => ({ route, matchRule })),
    );
  }
  const wrong = { key: { ...key, version: '' }, attributes: { '': 'x', ['n'.repeat(64)]: 'x' } };
  expect((await failureOf(client.resolver.resolve(wrong))).fieldViolations.map(({ field }) => field)).toEqual([
    'attributes[""]',
    `attributes["${'n'.repeat(64)}"]`,
  ]);
});
