import { status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import {
  message,
  RouteKey,
  RouteState,
  Tenant,
  VersionLookups,
  type TrafficPolicy,
  type TrafficManagerClient,
} from '../../src/client/index.ts';
import { CreateRouteRequest, GetRouteRequest } from '../../src/gen/trafficmanager/v1/route_service.ts';
import { callRaw } from '../support/control-plane.ts';
import { endpointAt, keyOf, policyOf, routeOf, useControlPlanes } from './control-plane-bench.ts';

type Call = (client: TrafficManagerClient, tenant: string) => Promise<unknown>;

const create =
  (fields: (tenant: string) => Parameters<typeof routeOf>): Call =>
  async ({ routes }, tenant) =>
    await routes.createRoute({ route: routeOf(...fields(tenant)) });
const withEndpoint = (fields: Partial<ReturnType<typeof endpointAt>>): Call =>
  create((tenant) => [
    keyOf(tenant, 'new'),
    { endpoints: [endpointAt('grpc://ok'), endpointAt('grpc://cart', fields)] },
  ]);
const withPolicy =
  (fields: Partial<TrafficPolicy>): Call =>
  async ({ policies }, tenant) =>
    await policies.setTrafficPolicy({ trafficPolicy: { ...policyOf(tenant, ''), ...fields } });
const withMask =
  (...updateMask: string[]): Call =>
  async ({ routes }, tenant) =>
    await routes.updateRoute({ route: routeOf(keyOf(tenant)), updateMask });

const lookupsOf = (tenant: string, lookups: bigint): VersionLookups =>
  message(VersionLookups, { ...keyOf(tenant), lookups });

/** One of each class of wrong input, and which fields the answer must name. The unit tests have the tables of values. */
const wrong: readonly (readonly [name: string, call: Call, fields: readonly string[]])[] = [
  ['no route', async ({ routes }) => await routes.createRoute({}), ['route.key', 'route.endpoints']],
  ['no key', async ({ routes }) => await routes.getRoute({}), ['key']],
  [
    'an empty key',
    async ({ routes }) => await routes.getRoute({ key: message(RouteKey, {}) }),
    ['key.tenant', 'key.service', 'key.environment', 'key.version'],
  ],
  ['a tenant in upper case', create(() => [keyOf('ACME')]), ['route.key.tenant']],
  ['a service with a slash', create((tenant) => [keyOf(tenant, 'v1', { service: 'a/b' })]), ['route.key.service']],
  [
    'an environment that is too long',
    create((tenant) => [keyOf(tenant, 'v1', { environment: 'e'.repeat(64) })]),
    ['route.key.environment'],
  ],
  ['a version with doubled dots', create((tenant) => [keyOf(tenant, 'v..1')]), ['route.key.version']],
  ['a name beyond ASCII', create((tenant) => [keyOf(tenant, 'v1', { service: 'kärt' })]), ['route.key.service']],
  ['a name with a NUL', create((tenant) => [keyOf(tenant, 'v1\u0000')]), ['route.key.version']],
  ['no endpoints', create((tenant) => [keyOf(tenant), { endpoints: [] }]), ['route.endpoints']],
  [
    '1,001 endpoints',
    create((tenant) => [
      keyOf(tenant),
      { endpoints: Array.from({ length: 1_001 }, (_, i) => endpointAt(`grpc://h${i}`)) },
    ]),
    ['route.endpoints'],
  ],
  [
    'an endpoint twice',
    create((tenant) => [keyOf(tenant), { endpoints: [endpointAt('grpc://a'), endpointAt('grpc://a')] }]),
    ['route.endpoints[1].url'],
  ],
  ['no URL', withEndpoint({ url: '' }), ['route.endpoints[1].url']],
  ['another scheme', withEndpoint({ url: 'ftp://cart' }), ['route.endpoints[1].url']],
  ['a host that is none', withEndpoint({ url: 'grpc://-cart' }), ['route.endpoints[1].url']],
  ['a port that is none', withEndpoint({ url: 'grpc://cart:65536' }), ['route.endpoints[1].url']],
  ['a user in a URL', withEndpoint({ url: 'http://me:secret@cart' }), ['route.endpoints[1].url']],
  ['a query in a URL', withEndpoint({ url: 'http://cart/?x' }), ['route.endpoints[1].url']],
  ['a NUL in a URL', withEndpoint({ url: 'http://cart/\u0000' }), ['route.endpoints[1].url']],
  ['a weight below 0', withEndpoint({ weight: -1 }), ['route.endpoints[1].weight']],
  ['a weight above 10,000', withEndpoint({ weight: 10_001 }), ['route.endpoints[1].weight']],
  [
    'only weights of 0',
    create((tenant) => [keyOf(tenant), { endpoints: [endpointAt('grpc://a', { weight: 0 })] }]),
    ['route.endpoints'],
  ],
  ['a priority below 0', withEndpoint({ priority: -1 }), ['route.endpoints[1].priority']],
  ['a priority above 127', withEndpoint({ priority: 128 }), ['route.endpoints[1].priority']],
  ['a zone that is too long', withEndpoint({ zone: 'z'.repeat(64) }), ['route.endpoints[1].zone']],
  ['a control character in a zone', withEndpoint({ zone: 'a\u001Bb' }), ['route.endpoints[1].zone']],
  ['an empty label', withEndpoint({ labels: { '': 'v' } }), ['route.endpoints[1].labels[""]']],
  ['U+FFFD in a label', create((tenant) => [keyOf(tenant), { labels: { a: '\uFFFD' } }]), ['route.labels["a"]']],
  [
    '65 labels',
    create((tenant) => [
      keyOf(tenant),
      { labels: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`k${i}`, ''])) },
    ]),
    ['route.labels'],
  ],
  [
    'a route in state DELETED',
    create((tenant) => [keyOf(tenant), { state: RouteState.ROUTE_STATE_DELETED }]),
    ['route.state'],
  ],
  ['a state that is none', create((tenant) => [keyOf(tenant), { state: 99 as RouteState }]), ['route.state']],
  ['a mask of nothing known', withMask('endpoints', 'state', 'Labels'), ['update_mask', 'update_mask']],
  ['a mask of a part', withMask('endpoints.url'), ['update_mask']],
  [
    'a filter that is no state',
    async ({ routes }, tenant) => await routes.listRoutes({ tenant, state: -1 }),
    ['state'],
  ],
  [
    'filters that are no names',
    async ({ routes }) => await routes.listRoutes({ tenant: '', service: 'A', environment: '.' }),
    ['tenant', 'service', 'environment'],
  ],
  ['no policy', async ({ policies }) => await policies.setTrafficPolicy({}), ['traffic_policy.key', 'traffic_policy']],
  ['a policy of nothing', withPolicy({}), ['traffic_policy']],
  ['a policy with a version that is none', withPolicy({ defaultVersion: '-' }), ['traffic_policy.default_version']],
  ['a split with weights of 0', withPolicy({ split: [{ version: 'v1', weight: 0 }] }), ['traffic_policy.split']],
  [
    'a split with a version twice',
    withPolicy({
      split: [
        { version: 'v1', weight: 1 },
        { version: 'v1', weight: 1 },
      ],
    }),
    ['traffic_policy.split[1].version'],
  ],
  ['no tenant', async ({ tenants }) => await tenants.createTenant({}), ['tenant.tenant']],
  [
    'a tenant with a long display name',
    async ({ tenants }) =>
      await tenants.createTenant({ tenant: message(Tenant, { tenant: 'new', displayName: 'x'.repeat(256) }) }),
    ['tenant.display_name'],
  ],
  ['a lookup without a key', async ({ resolver }) => await resolver.resolve({}), ['key']],
  ['an empty batch', async ({ resolver }) => await resolver.batchResolve({}), ['requests']],
  [
    'a list of usage without a tenant',
    async ({ usage }) => await usage.listUsage({ version: '-' }),
    ['tenant', 'version'],
  ],
  [
    'a report of usage by nobody',
    async ({ usage }) => await usage.reportUsage({ sidecarId: 'A' }),
    ['sidecar_id', 'sequence'],
  ],
  [
    'a report of usage with half a version, and none of lookups',
    async ({ usage }, tenant) =>
      await usage.reportUsage({
        sidecarId: 'one',
        sequence: 1n,
        versions: [message(VersionLookups, { tenant, service: 'cart', lookups: 1n }), lookupsOf(tenant, 0n)],
      }),
    ['versions[0].environment', 'versions[0].version', 'versions[1].lookups'],
  ],
  [
    'a report of usage with too many lookups, and too many versions',
    async ({ usage }, tenant) =>
      await usage.reportUsage({
        sidecarId: 'one',
        sequence: 1n,
        versions: [lookupsOf(tenant, 10n ** 12n + 1n), ...Array.from({ length: 1_000 }, () => lookupsOf(tenant, 1n))],
      }),
    ['versions', 'versions[0].lookups'],
  ],
  ['a watch of no tenant', async ({ watch }) => await watch({}).next(), ['tenant']],
  [
    'a watch that knows a commit, and not of which revision',
    async ({ watch }) => await watch({ tenant: 'acme', afterCommitId: 'c' }).next(),
    ['after_commit_id'],
  ],
];

describe('a request with wrong fields', () => {
  const bench = useControlPlanes();

  test.for(wrong)('is INVALID_ARGUMENT and writes nothing: %s', async ([, call, fields]) => {
    const tenant = await bench.newTenant();
    await bench.client.routes.createRoute({ route: routeOf(keyOf(tenant)) });
    const before = await bench.everyRow();
    await expect(call(bench.client, tenant)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      reason: 'INVALID_FIELDS',
      fieldViolations: fields.map((field) => ({ field })),
    });
    expect(await bench.everyRow()).toEqual(before);
  });

  test('is answered in full on the wire: one ErrorInfo with reason and domain, one BadRequest', async () => {
    const request = CreateRouteRequest.encode({
      route: routeOf(keyOf('ACME', ''), { endpoints: [] }),
      requestId: '',
      validateOnly: false,
    }).finish();
    const {
      code,
      message: text,
      status: sent,
      trailers,
    } = await callRaw(bench.address, '/trafficmanager.v1.RouteService/CreateRoute', request);
    expect([code, sent?.code]).toEqual([status.INVALID_ARGUMENT, status.INVALID_ARGUMENT]);
    expect(sent?.message).toBe(text);
    expect(sent?.errorInfos).toEqual([{ reason: 'INVALID_FIELDS', domain: 'trafficmanager.v1', metadata: {} }]);
    expect(sent?.badRequests).toHaveLength(1);
    expect(sent?.badRequests[0]?.fieldViolations.map(({ field }) => field)).toEqual([
      'route.key.tenant',
      'route.key.version',
      'route.endpoints',
    ]);
    expect(trailers.get('grpc-status-details-bin')).toHaveLength(1);
  });

  test('is answered however much of it is wrong', async () => {
    const tenant = await bench.newTenant();
    const labels = Object.fromEntries(
      Array.from({ length: 64 }, (_, index) => [`${index}${'k'.repeat(200)}`, '\u0000']),
    );
    const endpoints = Array.from({ length: 1_000 }, () =>
      endpointAt(' ', { weight: -1, priority: -1, zone: '\n', labels }),
    );
    await expect(
      bench.client.routes.createRoute({ route: routeOf(keyOf(tenant), { endpoints }) }),
    ).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      reason: 'INVALID_FIELDS',
      fieldViolations: expect.arrayContaining([{ field: 'route.endpoints[0].url', description: expect.any(String) }]),
    });
    const etag = 'e'.repeat(1_000_000);
    await bench.client.routes.createRoute({ route: routeOf(keyOf(tenant)) });
    await expect(bench.client.routes.deleteRoute({ key: keyOf(tenant), etag })).rejects.toMatchObject({
      code: 'ABORTED',
      reason: 'ETAG_MISMATCH',
    });
    await expect(withMask('x'.repeat(1_000_000))(bench.client, tenant)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      fieldViolations: [{ field: 'update_mask' }],
    });
  });

  test('names the resource that is not there', async () => {
    const tenant = await bench.newTenant();
    const request = GetRouteRequest.encode({ key: keyOf(tenant) }).finish();
    const { status: sent } = await callRaw(bench.address, '/trafficmanager.v1.RouteService/GetRoute', request);
    const name = `${tenant}/cart/production/v1`;
    expect(sent?.errorInfos).toEqual([
      { reason: 'ROUTE_NOT_FOUND', domain: 'trafficmanager.v1', metadata: { route: name } },
    ]);
    expect(sent?.resourceInfos).toEqual([
      { resourceType: 'trafficmanager.v1/Route', resourceName: name, owner: tenant, description: '' },
    ]);
  });
});

describe('a message that is not protobuf', () => {
  const bench = useControlPlanes();
  const methods = [
    'RouteService/CreateRoute',
    'RouteService/GetRoute',
    'RouteService/ListRoutes',
    'RouteService/UpdateRoute',
    'RouteService/ActivateRoute',
    'RouteService/DeactivateRoute',
    'RouteService/DeleteRoute',
    'RouteService/UndeleteRoute',
    'TrafficPolicyService/SetTrafficPolicy',
    'TrafficPolicyService/GetTrafficPolicy',
    'TenantService/CreateTenant',
    'TenantService/GetTenant',
    'TenantService/ListTenants',
    'ResolverService/Resolve',
    'ResolverService/BatchResolve',
  ];
  const malformed = [
    ['a length beyond its end', Buffer.from([0x0a, 0x7f, 0x61])],
    ['an endless varint', Buffer.alloc(11, 0xff)],
    ['a wire type that there is not', Buffer.from([0x0f])],
    ['a group that is not closed', Buffer.from([0x0b])],
    ['a field number of 0', Buffer.from([0x02, 0x00])],
    ['a zero byte', Buffer.from([0x00])],
    ['the end of a group that has not begun', Buffer.from([0x0c])],
    [
      'half a message',
      Buffer.from(
        GetRouteRequest.encode({ key: keyOf('acme') })
          .finish()
          .subarray(0, 5),
      ),
    ],
  ] as const;

  test.for(methods)('is INVALID_ARGUMENT for %s, and writes nothing', async (method) => {
    const before = await bench.everyRow();
    for (const [, bytes] of malformed) {
      const { code, status: sent, trailers } = await callRaw(bench.address, `/trafficmanager.v1.${method}`, bytes);
      expect(code).toBe(status.INVALID_ARGUMENT);
      expect(sent?.errorInfos).toEqual([{ reason: 'MALFORMED_MESSAGE', domain: 'trafficmanager.v1', metadata: {} }]);
      expect(trailers.get('x-correlation-id')).toHaveLength(1);
    }
    expect(await bench.everyRow()).toEqual(before);
  });

  test.for([
    ['Watch', false],
    ['StreamResolve', true],
  ] as const)('is INVALID_ARGUMENT for the stream %s', async ([name, requestStream]) => {
    const service = name === 'Watch' ? 'WatchService' : 'ResolverService';
    const asIs = (bytes: Buffer): Buffer => bytes;
    const method = {
      path: `/trafficmanager.v1.${service}/${name}`,
      requestStream,
      responseStream: true,
      requestSerialize: asIs,
      requestDeserialize: asIs,
      responseSerialize: asIs,
      responseDeserialize: asIs,
    };
    async function* one(bytes: Buffer): AsyncGenerator<Buffer> {
      yield await Promise.resolve(bytes);
    }
    for (const [, bytes] of malformed) {
      const { transport } = bench.client;
      const answers = requestStream ? transport.duplex(method, one(bytes)) : transport.serverStream(method, bytes);
      await expect(answers.next()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'MALFORMED_MESSAGE' });
    }
  });

  test('is not a message with fields that this program does not know', async () => {
    const tenant = await bench.newTenant();
    await bench.client.routes.createRoute({ route: routeOf(keyOf(tenant)) });
    const known = GetRouteRequest.encode({ key: keyOf(tenant) }).finish();
    const unknown = Buffer.concat([known, Buffer.from([0xfa, 0x07, 0x03, 0x61, 0x62, 0x63])]);
    expect((await callRaw(bench.address, '/trafficmanager.v1.RouteService/GetRoute', unknown)).code).toBe(status.OK);
  });

  test.for([
    ['a broken sequence', [0xff, 0xfe]],
    ['an overlong slash', [0xc0, 0xaf]],
    ['half a surrogate pair', [0xed, 0xa0, 0x80]],
    ['a character that was cut off', [0x61, 0xe2, 0x82]],
  ] as const)('with text that is not UTF-8 is INVALID_ARGUMENT: %s', async ([, bytes]) => {
    // GetRouteRequest { key { tenant: <bytes> } }
    const request = Buffer.from([0x0a, bytes.length + 2, 0x0a, bytes.length, ...bytes]);
    const { code, status: sent } = await callRaw(bench.address, '/trafficmanager.v1.RouteService/GetRoute', request);
    expect(code).toBe(status.INVALID_ARGUMENT);
    expect(sent?.errorInfos).toEqual([{ reason: 'MALFORMED_MESSAGE', domain: 'trafficmanager.v1', metadata: {} }]);
  });
});
