import { describe, expect, test } from 'vitest';
import { message, RouteState, Tenant, TenantState, TrafficPolicy } from '../../src/client/index.ts';
import { keyOf, policyOf, routeOf, useControlPlanes } from './control-plane-bench.ts';

describe('TenantService', () => {
  const bench = useControlPlanes(2);
  const create = async (
    tenant: string,
    displayName = '',
    common: { requestId?: string; validateOnly?: boolean } = {},
    replica = 0,
  ) => {
    const client = bench.replicas[replica]?.client ?? bench.client;
    return await client.tenants.createTenant({ tenant: message(Tenant, { tenant, displayName }), ...common });
  };

  test('CreateTenant makes a tenant with its first revision', async () => {
    const { tenant, change } = await create('made', 'Made 👋');
    expect(tenant).toEqual({
      tenant: 'made',
      displayName: 'Made 👋',
      quotas: {},
      state: TenantState.TENANT_STATE_ACTIVE,
      etag: expect.stringMatching(/^[0-9a-f]{16}$/),
      revision: 1n,
      createTime: change?.commitTime,
    });
    expect(change).toMatchObject({
      revision: 1n,
      resource: { $case: 'tenantChange', value: { before: undefined, after: tenant } },
    });
    expect((await bench.client.tenants.getTenant({ tenant: 'made' })).tenant).toEqual(tenant);
  });

  test('CreateTenant of an equal tenant answers it as it is now', async () => {
    await create('equal', 'Equal');
    await bench.client.routes.createRoute({ route: routeOf(keyOf('equal')) });
    expect(await create('equal', 'Equal')).toMatchObject({ tenant: { revision: 2n }, change: undefined });
  });

  test('CreateTenant with a request id gets its first reply again, created or not', async () => {
    const created = await create('repeated', '', { requestId: 'created' });
    await bench.client.routes.createRoute({ route: routeOf(keyOf('repeated')) });
    const found = await create('repeated', '', { requestId: 'found' });
    expect(found).toMatchObject({ tenant: { revision: 2n }, change: undefined });
    await bench.client.routes.deactivateRoute({ key: keyOf('repeated') });
    for (const replica of [0, 1]) {
      expect(await create('repeated', '', { requestId: 'created' }, replica)).toEqual(created);
      expect(await create('repeated', '', { requestId: 'found' }, replica)).toEqual(found);
    }
  });

  test('CreateTenant of another tenant with that name is refused', async () => {
    await create('differs', 'One');
    await expect(create('differs', 'Two')).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
      reason: 'ALREADY_EXISTS',
      metadata: { tenant: 'differs' },
    });
  });

  test('CreateTenant through both replicas at once makes one tenant', async () => {
    const answers = await Promise.all(
      [0, 1, 0, 1, 0, 1].map(async (replica) => await create('raced', '', {}, replica)),
    );
    expect(answers.filter(({ change }) => change !== undefined)).toHaveLength(1);
    for (const { tenant } of answers) expect(tenant).toEqual(answers[0]?.tenant);
  });

  test('CreateTenant that is only to be validated makes none', async () => {
    const before = await bench.everyRow();
    expect(await create('dry', '', { validateOnly: true })).toMatchObject({ change: { revision: 1n } });
    expect(await bench.everyRow()).toEqual(before);
    await expect(bench.client.tenants.getTenant({ tenant: 'dry' })).rejects.toMatchObject({
      reason: 'TENANT_NOT_FOUND',
    });
    await expect(bench.client.routes.createRoute({ route: routeOf(keyOf('dry')) })).rejects.toMatchObject({
      reason: 'TENANT_NOT_FOUND',
    });
  });

  test('ListTenants lists in the order of names, page by page', async () => {
    const names = ['list-b', 'list-a-b', 'list-ab', 'list-a'];
    for (const name of names) await create(name);
    const found: string[] = [];
    let pageToken = '';
    do {
      const page = await bench.client.tenants.listTenants({ pageSize: 3, pageToken });
      expect(page.tenants.length).toBeLessThanOrEqual(3);
      found.push(...page.tenants.map(({ tenant }) => tenant));
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    expect(found.filter((name) => name.startsWith('list-'))).toEqual(['list-a', 'list-a-b', 'list-ab', 'list-b']);
    expect(new Set(found).size).toBe(found.length);
    await expect(bench.client.tenants.listTenants({ pageToken: 'nonsense' })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    await expect(bench.client.tenants.listTenants({ pageSize: -1 })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });
});

describe('TrafficPolicyService', () => {
  const bench = useControlPlanes();

  test('SetTrafficPolicy creates and replaces a policy, and GetTrafficPolicy reads it', async () => {
    const tenant = await bench.newTenant();
    const key = { tenant, service: 'cart', environment: 'production' };
    for (const version of ['v1', 'RC.1'])
      await bench.client.routes.createRoute({ route: routeOf(keyOf(tenant, version)) });
    await expect(bench.client.policies.getTrafficPolicy({ key })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      reason: 'TRAFFIC_POLICY_NOT_FOUND',
      metadata: { policy: `${tenant}/cart/production` },
    });
    const created = await bench.client.policies.setTrafficPolicy({ trafficPolicy: policyOf(tenant, 'v1') });
    const split = [
      { version: 'v1', weight: 0 },
      { version: 'RC.1', weight: 10_000 },
    ];
    const replaced = await bench.client.policies.setTrafficPolicy({
      trafficPolicy: message(TrafficPolicy, { key, split, revision: 77n, updatedBy: 'me' }),
    });
    expect(replaced.trafficPolicy).toEqual({
      ...message(TrafficPolicy, {}),
      key,
      defaultVersion: '',
      split,
      revision: 5n,
      etag: expect.not.stringMatching(created.trafficPolicy?.etag ?? ''),
      createTime: created.change?.commitTime,
      updateTime: replaced.change?.commitTime,
      updatedBy: 'anonymous',
    });
    expect(replaced.change?.resource).toEqual({
      $case: 'trafficPolicy',
      value: { key, before: created.trafficPolicy, after: replaced.trafficPolicy },
    });
    expect((await bench.client.policies.getTrafficPolicy({ key })).trafficPolicy).toEqual(replaced.trafficPolicy);
    await expect(bench.client.policies.getTrafficPolicy({ key: { ...key, tenant: 'nobody' } })).rejects.toMatchObject({
      reason: 'TENANT_NOT_FOUND',
    });
  });

  test('a policy names only versions that have a route, and keeps them from deletion', async () => {
    const tenant = await bench.newTenant();
    const set = async (version: string) =>
      await bench.client.policies.setTrafficPolicy({ trafficPolicy: policyOf(tenant, version) });
    const policy = `${tenant}/cart/production`;
    for (const version of ['v1', 'v2'])
      await bench.client.routes.createRoute({ route: routeOf(keyOf(tenant, version)) });
    await bench.client.routes.deleteRoute({ key: keyOf(tenant, 'v2') });
    for (const version of ['v2', 'v3']) {
      await expect(set(version)).rejects.toMatchObject({
        code: 'FAILED_PRECONDITION',
        reason: 'VERSION_NOT_FOUND',
        metadata: { policy, version },
      });
    }
    await set('v1');
    await expect(bench.client.routes.deleteRoute({ key: keyOf(tenant, 'v1') })).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      reason: 'VERSION_IN_USE',
      metadata: { policy, version: 'v1' },
    });
    // Switched off it may be: then it gets no calls.
    expect(await bench.client.routes.deactivateRoute({ key: keyOf(tenant, 'v1') })).toMatchObject({
      route: { state: RouteState.ROUTE_STATE_INACTIVE },
    });
  });
});
