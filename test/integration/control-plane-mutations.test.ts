import { describe, expect, test } from 'vitest';
import type { Change, TrafficManagerClient } from '../../src/client/index.ts';
import { endpointAt, keyOf, policyOf, routeOf, useControlPlanes } from './control-plane-bench.ts';

/** What all mutating calls take. */
type Common = { readonly requestId?: string; readonly validateOnly?: boolean };
type Answer = { readonly change?: Change | undefined; readonly revision?: bigint };

/** One mutating call that changes something on a tenant prepared by `prepare`. */
type Mutation = {
  readonly name: string;
  readonly call: (
    client: TrafficManagerClient,
    tenant: string,
    common: Common & { readonly etag?: string },
  ) => Promise<Answer>;
  /** The same method with another body. */
  readonly otherwise: (client: TrafficManagerClient, tenant: string, common: Common) => Promise<unknown>;
};

/** All of RouteService's and TrafficPolicyService's; those with an etag, and CreateRoute. */
const withEtag: readonly Mutation[] = [
  {
    name: 'UpdateRoute',
    call: async ({ routes }, tenant, { etag = '', ...common }) =>
      await routes.updateRoute({
        route: routeOf(keyOf(tenant), { endpoints: [endpointAt('grpc://moved')], etag }),
        updateMask: ['endpoints'],
        ...common,
      }),
    otherwise: async ({ routes }, tenant, common) =>
      await routes.updateRoute({ route: routeOf(keyOf(tenant), { labels: { a: 'b' } }), ...common }),
  },
  {
    name: 'DeactivateRoute',
    call: async ({ routes }, tenant, common) => await routes.deactivateRoute({ key: keyOf(tenant), ...common }),
    otherwise: async ({ routes }, tenant, common) =>
      await routes.deactivateRoute({ key: keyOf(tenant, 'v2'), ...common }),
  },
  {
    name: 'ActivateRoute',
    call: async ({ routes }, tenant, common) => await routes.activateRoute({ key: keyOf(tenant, 'off'), ...common }),
    otherwise: async ({ routes }, tenant, common) => await routes.activateRoute({ key: keyOf(tenant), ...common }),
  },
  {
    name: 'DeleteRoute',
    call: async ({ routes }, tenant, common) => await routes.deleteRoute({ key: keyOf(tenant, 'v2'), ...common }),
    otherwise: async ({ routes }, tenant, common) => await routes.deleteRoute({ key: keyOf(tenant, 'off'), ...common }),
  },
  {
    name: 'UndeleteRoute',
    call: async ({ routes }, tenant, common) => await routes.undeleteRoute({ key: keyOf(tenant, 'gone'), ...common }),
    otherwise: async ({ routes }, tenant, common) => await routes.undeleteRoute({ key: keyOf(tenant), ...common }),
  },
  {
    name: 'SetTrafficPolicy',
    call: async ({ policies }, tenant, { etag = '', ...common }) =>
      await policies.setTrafficPolicy({ trafficPolicy: policyOf(tenant, 'v1', etag), ...common }),
    otherwise: async ({ policies }, tenant, common) =>
      await policies.setTrafficPolicy({ trafficPolicy: policyOf(tenant, 'off'), ...common }),
  },
];
const all: readonly Mutation[] = [
  ...withEtag,
  {
    name: 'CreateRoute',
    call: async ({ routes }, tenant, { etag: _etag, ...common }) =>
      await routes.createRoute({ route: routeOf(keyOf(tenant, 'new')), ...common }),
    otherwise: async ({ routes }, tenant, common) =>
      await routes.createRoute({ route: routeOf(keyOf(tenant, 'newer')), ...common }),
  },
];

describe('every mutation', () => {
  const bench = useControlPlanes(2);

  /** A tenant with an active, an inactive and a deleted route, and a policy. */
  async function prepare(): Promise<string> {
    const tenant = await bench.newTenant();
    const { routes, policies } = bench.client;
    for (const version of ['v1', 'v2', 'off', 'gone'])
      await routes.createRoute({ route: routeOf(keyOf(tenant, version)) });
    await routes.deactivateRoute({ key: keyOf(tenant, 'off') });
    await routes.deleteRoute({ key: keyOf(tenant, 'gone') });
    await policies.setTrafficPolicy({ trafficPolicy: policyOf(tenant, 'off') });
    return tenant;
  }

  const revisionOf = async (tenant: string) => (await bench.client.tenants.getTenant({ tenant })).tenant?.revision;

  test.for(all)(
    '$name with a request id gets its first reply again, from any replica, also after later changes',
    async ({ call }) => {
      const tenant = await prepare();
      const first = await call(bench.client, tenant, { requestId: 'id' });
      expect(first.change).toBeDefined();
      await bench.client.policies.setTrafficPolicy({ trafficPolicy: policyOf(tenant, 'v1') });
      await bench.client.routes.updateRoute({
        route: routeOf(keyOf(tenant), { endpoints: [endpointAt('grpc://elsewhere')] }),
      });
      const revision = await revisionOf(tenant);
      for (const { client } of bench.replicas) expect(await call(client, tenant, { requestId: 'id' })).toEqual(first);
      expect(await revisionOf(tenant)).toBe(revision);
    },
  );

  test.for(all)(
    '$name with the request id of another body is refused, and changes nothing',
    async ({ call, otherwise }) => {
      const tenant = await prepare();
      await call(bench.client, tenant, { requestId: 'id' });
      const before = await bench.everyRow();
      for (const { client } of bench.replicas) {
        await expect(otherwise(client, tenant, { requestId: 'id' })).rejects.toMatchObject({
          code: 'INVALID_ARGUMENT',
          reason: 'REQUEST_ID_REUSED',
          metadata: { request_id: 'id' },
        });
      }
      expect(await bench.everyRow()).toEqual(before);
    },
  );

  test.for(all)('$name without a request id converges: what holds already is not changed again', async ({ call }) => {
    const tenant = await prepare();
    await call(bench.client, tenant, {});
    const before = await bench.everyRow();
    for (const { client } of bench.replicas) expect((await call(client, tenant, {})).change).toBeUndefined();
    expect(await bench.everyRow()).toEqual(before);
  });

  test.for(all)(
    '$name that is only to be validated answers the change, and writes nothing at all',
    async ({ call }) => {
      const tenant = await prepare();
      const before = await bench.everyRow();
      const revision = (await revisionOf(tenant)) ?? 0n;
      const dry = await call(bench.client, tenant, { validateOnly: true, requestId: 'id' });
      expect(dry.revision).toBe(revision + 1n);
      expect(dry.change).toMatchObject({ tenant, revision: revision + 1n });
      expect(await bench.everyRow()).toEqual(before);
      const done = await call(bench.client, tenant, { requestId: 'id' });
      const timeless = (change: Change | undefined) => ({ action: change?.action, revision: change?.revision });
      expect(timeless(done.change)).toEqual(timeless(dry.change));
    },
  );

  test.for(withEtag)(
    '$name with an etag that is not the current one is ABORTED, and changes nothing',
    async ({ call }) => {
      const tenant = await prepare();
      const before = await bench.everyRow();
      for (const validateOnly of [false, true]) {
        await expect(call(bench.client, tenant, { etag: 'of-another-day', validateOnly })).rejects.toMatchObject({
          code: 'ABORTED',
          reason: 'ETAG_MISMATCH',
          metadata: { etag: 'of-another-day', current_etag: expect.stringMatching(/^[0-9a-f]{16}$/) },
        });
      }
      expect(await bench.everyRow()).toEqual(before);
    },
  );

  test.for(withEtag)('$name with the current etag succeeds once; then it is not current any more', async ({ call }) => {
    const tenant = await prepare();
    const dry = await call(bench.client, tenant, { validateOnly: true });
    const { resource } = dry.change ?? {};
    const etag = (resource?.value.before as { etag?: string } | undefined)?.etag ?? '';
    expect(etag).not.toBe('');
    expect((await call(bench.client, tenant, { etag })).change).toBeDefined();
    await expect(call(bench.client, tenant, { etag })).rejects.toMatchObject({ reason: 'ETAG_MISMATCH' });
  });

  test.for(withEtag)(
    'of many of $name with one etag through both replicas at once exactly one succeeds',
    async ({ call }) => {
      const tenant = await prepare();
      const { change } = await call(bench.client, tenant, { validateOnly: true });
      const etag = (change?.resource?.value.before as { etag?: string } | undefined)?.etag ?? '';
      const clients = Array.from({ length: 10 }, () => bench.replicas.map(({ client }) => client)).flat();
      const results = await Promise.allSettled(clients.map(async (client) => await call(client, tenant, { etag })));
      expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      for (const result of results) {
        if (result.status === 'rejected') expect(result.reason).toMatchObject({ reason: 'ETAG_MISMATCH' });
      }
    },
  );

  test.for(all)('$name with one request id through both replicas at once is carried out once', async ({ call }) => {
    const tenant = await prepare();
    const before = (await revisionOf(tenant)) ?? 0n;
    const clients = Array.from({ length: 10 }, () => bench.replicas.map(({ client }) => client)).flat();
    const answers = await Promise.all(clients.map(async (client) => await call(client, tenant, { requestId: 'id' })));
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    expect(answers[0]?.change?.revision).toBe(before + 1n);
    expect(await revisionOf(tenant)).toBe(before + 1n);
  });

  test.for(all)('$name of a tenant that does not exist is NOT_FOUND, and leaves nothing behind', async ({ call }) => {
    const before = await bench.everyRow();
    for (const common of [{}, { requestId: 'id' }, { validateOnly: true }]) {
      await expect(call(bench.client, 'nobody', common)).rejects.toMatchObject({
        code: 'NOT_FOUND',
        reason: 'TENANT_NOT_FOUND',
        metadata: { tenant: 'nobody' },
      });
    }
    expect(await bench.everyRow()).toEqual(before);
  });

  test.for([
    ['a space', 'a b'],
    ['129 characters', 'x'.repeat(129)],
    ['a letter beyond ASCII', 'ï'],
    ['a line break', 'a\n'],
    ['U+FFFD', '\uFFFD'],
  ] as const)('is refused with a request id with %s', async ([, requestId]) => {
    const tenant = await prepare();
    const before = await bench.everyRow();
    for (const { call } of all) {
      await expect(call(bench.client, tenant, { requestId })).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        reason: 'INVALID_FIELDS',
        fieldViolations: [{ field: 'request_id' }],
      });
    }
    expect(await bench.everyRow()).toEqual(before);
  });

  test('takes a request id of 128 characters', async () => {
    const tenant = await prepare();
    const requestId = `!~${'x'.repeat(126)}`;
    const [first] = all;
    expect(await first?.call(bench.client, tenant, { requestId })).toEqual(
      await first?.call(bench.client, tenant, { requestId }),
    );
  });
});
