import { describe, expect, test } from 'vitest';
import { createClient, message, Tenant, TenantQuotas, TrafficManagerError } from '../../src/client/index.ts';
import { TenantState } from '../../src/gen/trafficmanager/v1/tenant.ts';
import { startTestControlPlane } from '../support/control-plane.ts';
import { keyOf, policyOf, routeOf, useControlPlanes } from './control-plane-bench.ts';

const bench = useControlPlanes();
const token = 'a-token-of-sufficient-length';

async function refusal(call: Promise<unknown>): Promise<TrafficManagerError> {
  const error: unknown = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof TrafficManagerError)) throw new Error('the call was not refused', { cause: error });
  return error;
}

describe('a tenant', () => {
  test('is updated by mask and etag, each change with a revision and an etag of its own', async () => {
    const tenant = await bench.newTenant();
    const { tenants, routes } = bench.client;
    const quotas = message(TenantQuotas, { routesMax: 5 });
    const first = await tenants.updateTenant({ tenant: message(Tenant, { tenant, displayName: 'Acme', quotas }) });
    expect(first.tenant).toMatchObject({ displayName: 'Acme', revision: 2n, quotas: { routesMax: 5 } });
    await routes.createRoute({ route: routeOf(keyOf(tenant)) });
    const etag = first.tenant?.etag ?? '';
    const second = await tenants.updateTenant({
      tenant: message(Tenant, { tenant, displayName: 'Acme Ltd', etag }),
      updateMask: ['display_name'],
    });
    expect(second.tenant).toMatchObject({ displayName: 'Acme Ltd', revision: 4n, quotas: { routesMax: 5 } });
    expect(
      await refusal(tenants.updateTenant({ tenant: message(Tenant, { tenant, displayName: 'X', etag }) })),
    ).toMatchObject({ code: 'ABORTED' });
    const again = await tenants.updateTenant({
      tenant: message(Tenant, { tenant, displayName: 'Acme Ltd' }),
      updateMask: ['display_name'],
    });
    expect(again.change).toBeUndefined();
    expect((await tenants.getTenant({ tenant })).tenant).toEqual(second.tenant);
  });

  test('answers a repeated request id as it did at first, whatever was written since', async () => {
    const tenant = await bench.newTenant();
    const { tenants, routes } = bench.client;
    const update = { tenant: message(Tenant, { tenant, displayName: 'Acme' }), requestId: 'tenant-update' };
    const first = await tenants.updateTenant(update);
    await routes.createRoute({ route: routeOf(keyOf(tenant)) });
    await tenants.updateTenant({ tenant: message(Tenant, { tenant, displayName: 'Other' }) });
    expect(await tenants.updateTenant(update)).toEqual(first);
    expect((await tenants.getTenant({ tenant })).tenant?.displayName).toBe('Other');
  });

  test('that is deleted answers nothing and takes nothing, until it is undeleted as it was', async () => {
    const tenant = await bench.newTenant();
    const { tenants, routes, policies, resolver, changes } = bench.client;
    await routes.createRoute({ route: routeOf(keyOf(tenant)) });
    const policy = await policies.setTrafficPolicy({ trafficPolicy: policyOf(tenant, 'v1') });
    const deleted = await tenants.deleteTenant({ tenant });
    expect(deleted.tenant?.state).toBe(TenantState.TENANT_STATE_DELETED);
    expect((await tenants.deleteTenant({ tenant })).change).toBeUndefined();
    for (const read of [
      (): Promise<unknown> => resolver.resolve({ key: keyOf(tenant) }),
      (): Promise<unknown> => routes.getRoute({ key: keyOf(tenant) }),
      (): Promise<unknown> => routes.listRoutes({ tenant }),
      (): Promise<unknown> => policies.getTrafficPolicy({ key: policyOf(tenant, '').key }),
      (): Promise<unknown> => policies.listTrafficPolicies({ tenant }),
    ])
      expect(await refusal(read())).toMatchObject({ code: 'NOT_FOUND', reason: 'TENANT_NOT_FOUND' });
    // What it was stays on record.
    expect((await changes.listChanges({ tenant, pageSize: 1 })).changes[0]).toEqual(deleted.change);
    const at = { $case: 'atRevision', value: policy.revision } as const;
    expect((await routes.listRoutes({ tenant, at })).routes).toHaveLength(1);
    expect(await refusal(routes.createRoute({ route: routeOf(keyOf(tenant, 'v2')) }))).toMatchObject({
      code: 'FAILED_PRECONDITION',
      reason: 'TENANT_DELETED',
    });
    expect(await refusal(tenants.createTenant({ tenant: message(Tenant, { tenant }) }))).toMatchObject({
      reason: 'TENANT_DELETED',
    });
    const names = async (showDeleted: boolean): Promise<string[]> =>
      (await tenants.listTenants({ pageSize: 1_000, showDeleted })).tenants.map((each) => each.tenant);
    expect(await names(false)).not.toContain(tenant);
    expect(await names(true)).toContain(tenant);
    await tenants.undeleteTenant({ tenant });
    expect((await resolver.resolve({ key: keyOf(tenant) })).route?.key).toEqual(keyOf(tenant));
  });

  test('may have as many routes as its quota says, and does everything else beyond it', async () => {
    const tenant = await bench.newTenant();
    const { tenants, routes } = bench.client;
    await tenants.updateTenant({
      tenant: message(Tenant, { tenant, quotas: message(TenantQuotas, { routesMax: 2 }) }),
      updateMask: ['quotas'],
    });
    for (const version of ['v1', 'v2']) await routes.createRoute({ route: routeOf(keyOf(tenant, version)) });
    expect(await refusal(routes.createRoute({ route: routeOf(keyOf(tenant, 'v3')) }))).toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
      reason: 'QUOTA_EXCEEDED',
      metadata: { quota: 'routes_max', limit: '2' },
    });
    await tenants.updateTenant({
      tenant: message(Tenant, { tenant, quotas: message(TenantQuotas, { routesMax: 1 }) }),
      updateMask: ['quotas'],
    });
    await routes.deactivateRoute({ key: keyOf(tenant, 'v1') });
    await routes.deleteRoute({ key: keyOf(tenant, 'v1') });
    expect(await refusal(routes.undeleteRoute({ key: keyOf(tenant, 'v1') }))).toMatchObject({
      reason: 'QUOTA_EXCEEDED',
    });
  });

  test('that writes faster than its quota is told when to come back, and others are not held up', async () => {
    const [tenant, other] = [await bench.newTenant(), await bench.newTenant()];
    const { tenants, routes } = bench.client;
    await tenants.updateTenant({
      tenant: message(Tenant, { tenant, quotas: message(TenantQuotas, { writesPerSecond: 0 }) }),
      updateMask: ['quotas'],
    });
    const refused = await refusal(routes.createRoute({ route: routeOf(keyOf(tenant)) }));
    expect(refused).toMatchObject({ code: 'RESOURCE_EXHAUSTED', reason: 'RATE_LIMITED' });
    expect(refused.retryDelayMs).toBeGreaterThan(0);
    await routes.createRoute({ route: routeOf(keyOf(other)) });
  });

  test('that may write nothing can still be changed, deleted and brought back by an administrator', async () => {
    const tenant = await bench.newTenant();
    const { tenants, routes } = bench.client;
    const setQuota = (writesPerSecond: number): Promise<unknown> =>
      tenants.updateTenant({
        tenant: message(Tenant, { tenant, quotas: message(TenantQuotas, { writesPerSecond }) }),
        updateMask: ['quotas'],
      });
    await setQuota(0);
    await tenants.deleteTenant({ tenant });
    await tenants.undeleteTenant({ tenant });
    await setQuota(10);
    const { route } = await routes.createRoute({ route: routeOf(keyOf(tenant)) });
    expect(route?.key).toEqual(keyOf(tenant));
  });

  test('that asks faster than its quota is told when to come back, and others are answered', async () => {
    const [tenant, other] = [await bench.newTenant(), await bench.newTenant()];
    const { tenants, routes, resolver } = bench.client;
    for (const each of [tenant, other]) await routes.createRoute({ route: routeOf(keyOf(each)) });
    await tenants.updateTenant({
      tenant: message(Tenant, { tenant, quotas: message(TenantQuotas, { lookupsPerSecond: 0 }) }),
      updateMask: ['quotas'],
    });
    const refused = await refusal(resolver.resolve({ key: keyOf(tenant) }));
    expect(refused).toMatchObject({ code: 'RESOURCE_EXHAUSTED', reason: 'RATE_LIMITED' });
    expect(refused.retryDelayMs).toBeGreaterThan(0);
    expect((await resolver.resolve({ key: keyOf(other) })).route?.key).toEqual(keyOf(other));
  });

  test('has quotas within bounds', async () => {
    const tenant = await bench.newTenant();
    const quotas = message(TenantQuotas, { routesMax: -1, watchersMax: 1_000_001, writesPerSecond: 5 });
    const { fieldViolations } = await refusal(
      bench.client.tenants.updateTenant({
        tenant: message(Tenant, { tenant, quotas }),
        updateMask: ['quotas', 'color'],
      }),
    );
    expect(fieldViolations.map(({ field }) => field)).toEqual([
      'tenant.quotas.routes_max',
      'tenant.quotas.watchers_max',
      'update_mask',
    ]);
  });
});

describe('with an administrators’ token', () => {
  test('tenants are for administrators only, and everything else is not', async () => {
    await using controlPlane = await startTestControlPlane(bench.databaseUrl, { administratorToken: token });
    const { address } = controlPlane;
    using stranger = createClient({ address });
    using impostor = createClient({ address, defaults: { token: 'another-token-altogether' } });
    using administrator = createClient({ address, defaults: { token } });
    const tenant = message(Tenant, { tenant: 'of-administrators' });
    const calls = (client: typeof stranger): Promise<unknown>[] => [
      client.tenants.createTenant({ tenant }),
      client.tenants.getTenant({ tenant: tenant.tenant }),
      client.tenants.listTenants({}),
      client.tenants.updateTenant({ tenant }),
      client.tenants.deleteTenant({ tenant: tenant.tenant }),
      client.tenants.undeleteTenant({ tenant: tenant.tenant }),
    ];
    for (const call of calls(stranger))
      expect(await refusal(call)).toMatchObject({ code: 'UNAUTHENTICATED', reason: 'CREDENTIAL_REQUIRED' });
    for (const call of calls(impostor))
      expect(await refusal(call)).toMatchObject({ code: 'PERMISSION_DENIED', reason: 'PERMISSION_DENIED' });
    await administrator.tenants.createTenant({ tenant });
    await stranger.routes.createRoute({ route: routeOf(keyOf(tenant.tenant)) });
  });
});
