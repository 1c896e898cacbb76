import { describe, expect, test } from 'vitest';
import { ChangeAction, RouteState } from '../../src/client/index.ts';
import { endpointAt, keyOf, routeOf, useControlPlanes } from './control-plane-bench.ts';

const { ROUTE_STATE_ACTIVE: active, ROUTE_STATE_INACTIVE: inactive, ROUTE_STATE_DELETED: deleted } = RouteState;

describe('RouteService', () => {
  const bench = useControlPlanes();

  async function withRoute() {
    const tenant = await bench.newTenant();
    const key = keyOf(tenant);
    const { route } = await bench.client.routes.createRoute({ route: routeOf(key, { labels: { team: 'cart' } }) });
    if (route === undefined) throw new Error('the route');
    return { tenant, key, route };
  }

  test('CreateRoute answers the route as it is, at which revision, and the change', async () => {
    const tenant = await bench.newTenant();
    const key = keyOf(tenant, 'RC.1');
    const endpoints = [
      endpointAt('https://[::1]:443/path', { weight: 0, zone: 'eu-west-1a', priority: 127, labels: { rack: '7' } }),
      endpointAt('grpc://cart'),
    ];
    const asked = routeOf(key, {
      endpoints,
      labels: { team: 'Zürich 👋' },
      revision: 99n,
      etag: 'mine',
      createTime: new Date(1),
      deleteTime: new Date(1),
      updatedBy: 'me',
    });
    const { route, revision, change } = await bench.client.routes.createRoute({ route: asked }, { actor: 'alice' });
    expect(route).toEqual({
      key,
      endpoints: [endpoints[0], { ...endpoints[1], weight: 1 }],
      state: active,
      revision: 2n,
      etag: expect.stringMatching(/^[0-9a-f]{16}$/),
      labels: { team: 'Zürich 👋' },
      createTime: change?.commitTime,
      updateTime: change?.commitTime,
      deleteTime: undefined,
      updatedBy: 'alice',
    });
    expect(revision).toBe(2n);
    expect(change).toMatchObject({
      tenant,
      revision: 2n,
      commitRevision: 2n,
      action: ChangeAction.CHANGE_ACTION_CREATED,
      actor: 'alice',
      resource: { $case: 'route', value: { before: undefined, after: route } },
    });
    expect((await bench.client.routes.getRoute({ key })).route).toEqual(route);
  });

  test('CreateRoute makes an INACTIVE route when asked to', async () => {
    const key = keyOf(await bench.newTenant());
    const { route } = await bench.client.routes.createRoute({ route: routeOf(key, { state: inactive }) });
    expect(route?.state).toBe(inactive);
  });

  test('CreateRoute of an equal route answers that and changes nothing; of another one it is refused', async () => {
    const { tenant, key, route } = await withRoute();
    const again = await bench.client.routes.createRoute({ route: routeOf(key, { labels: { team: 'cart' } }) });
    expect(again).toEqual({ route, revision: 2n, change: undefined });
    for (const other of [{ labels: {} }, { labels: { team: 'cart' }, state: inactive }]) {
      await expect(bench.client.routes.createRoute({ route: routeOf(key, other) })).rejects.toMatchObject({
        code: 'ALREADY_EXISTS',
        reason: 'ALREADY_EXISTS',
        metadata: { route: `${tenant}/cart/production/v1` },
      });
    }
  });

  test('CreateRoute takes the name of a soft-deleted route, as a new route', async () => {
    const { key, route } = await withRoute();
    await bench.client.routes.deleteRoute({ key });
    const created = await bench.client.routes.createRoute({ route: routeOf(key) });
    expect(created.change).toMatchObject({
      action: ChangeAction.CHANGE_ACTION_CREATED,
      resource: { value: { before: { state: deleted }, after: { state: active, labels: {} } } },
    });
    expect(created.route?.createTime).toEqual(created.change?.commitTime);
    expect(created.route?.etag).not.toBe(route.etag);
  });

  test('GetRoute reads a route in any state', async () => {
    const { key } = await withRoute();
    const stateOf = async () => (await bench.client.routes.getRoute({ key })).route?.state;
    expect(await stateOf()).toBe(active);
    await bench.client.routes.deactivateRoute({ key });
    expect(await stateOf()).toBe(inactive);
    await bench.client.routes.deleteRoute({ key });
    expect(await stateOf()).toBe(deleted);
  });

  test('UpdateRoute replaces endpoints and labels, or those that the mask names', async () => {
    const { key, route: before } = await withRoute();
    const route = routeOf(key, { endpoints: [endpointAt('grpc://moved')], labels: { owner: 'x' }, state: inactive });
    const update = async (updateMask: string[] | undefined) => {
      const answer = await bench.client.routes.updateRoute({ route, updateMask });
      return { url: answer.route?.endpoints[0]?.url, labels: answer.route?.labels, change: answer.change };
    };
    const cart = 'grpc://cart.internal:8443';
    expect(await update(['labels'])).toMatchObject({ url: cart, labels: { owner: 'x' } });
    expect(await update(['endpoints'])).toMatchObject({ url: 'grpc://moved', labels: { owner: 'x' } });
    expect(await update(['endpoints', 'labels'])).toMatchObject({ change: undefined });
    for (const mask of [[], ['*'], undefined]) {
      await bench.client.routes.updateRoute({ route: { ...before, etag: '' } });
      const all = await update(mask);
      expect(all).toMatchObject({ url: 'grpc://moved', labels: { owner: 'x' } });
      expect(all.change).toMatchObject({
        action: ChangeAction.CHANGE_ACTION_UPDATED,
        resource: { value: { before: { labels: { team: 'cart' } }, after: { labels: { owner: 'x' } } } },
      });
    }
    const now = (await bench.client.routes.getRoute({ key })).route;
    // The state is changed by its own methods only, and the creation stays when it was.
    expect(now).toMatchObject({ state: active, createTime: before.createTime });
  });

  test('UpdateRoute of a mask looks only at what the mask names', async () => {
    const { key } = await withRoute();
    const endpoints = [endpointAt('not a url')];
    const route = routeOf(key, { endpoints, labels: { ok: 'yes' } });
    expect(await bench.client.routes.updateRoute({ route, updateMask: ['labels'] })).toMatchObject({
      route: { labels: { ok: 'yes' } },
    });
  });

  test('UpdateRoute creates a route only when asked to, also where one was deleted', async () => {
    const { tenant, key } = await withRoute();
    const missing = routeOf(keyOf(tenant, 'v9'), { state: inactive });
    await expect(bench.client.routes.updateRoute({ route: missing })).rejects.toMatchObject({
      reason: 'ROUTE_NOT_FOUND',
    });
    const created = await bench.client.routes.updateRoute({ route: missing, allowMissing: true });
    expect(created).toMatchObject({
      route: { state: inactive },
      change: { action: ChangeAction.CHANGE_ACTION_CREATED },
    });
    await bench.client.routes.deleteRoute({ key });
    await expect(bench.client.routes.updateRoute({ route: routeOf(key) })).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      reason: 'ROUTE_DELETED',
    });
    expect(await bench.client.routes.updateRoute({ route: routeOf(key), allowMissing: true })).toMatchObject({
      route: { state: active },
    });
  });

  test('ActivateRoute and DeactivateRoute switch a route, and change nothing that holds already', async () => {
    const { key } = await withRoute();
    const { routes } = bench.client;
    expect(await routes.activateRoute({ key })).toMatchObject({ revision: 2n, change: undefined });
    expect(await routes.deactivateRoute({ key })).toMatchObject({
      route: { state: inactive },
      revision: 3n,
      change: { action: ChangeAction.CHANGE_ACTION_DEACTIVATED },
    });
    expect(await routes.deactivateRoute({ key })).toMatchObject({ revision: 3n, change: undefined });
    expect(await routes.activateRoute({ key })).toMatchObject({
      route: { state: active },
      change: { action: ChangeAction.CHANGE_ACTION_ACTIVATED },
    });
    await routes.deleteRoute({ key });
    for (const method of ['activateRoute', 'deactivateRoute'] as const) {
      await expect(routes[method]({ key })).rejects.toMatchObject({ reason: 'ROUTE_DELETED' });
    }
  });

  test('DeleteRoute keeps a route, and UndeleteRoute brings it back as it was', async () => {
    const { key } = await withRoute();
    const { routes } = bench.client;
    await routes.deactivateRoute({ key });
    const gone = await routes.deleteRoute({ key });
    expect(gone).toMatchObject({ route: { state: deleted }, change: { action: ChangeAction.CHANGE_ACTION_DELETED } });
    expect(gone.route?.deleteTime).toEqual(gone.change?.commitTime);
    expect(await routes.deleteRoute({ key })).toMatchObject({ route: gone.route, change: undefined });
    const back = await routes.undeleteRoute({ key });
    expect(back).toMatchObject({
      route: { state: inactive, labels: { team: 'cart' }, deleteTime: undefined },
      change: { action: ChangeAction.CHANGE_ACTION_UNDELETED },
    });
    expect(await routes.undeleteRoute({ key })).toMatchObject({ route: back.route, change: undefined });
  });

  test.for(['getRoute', 'activateRoute', 'deactivateRoute', 'deleteRoute', 'undeleteRoute'] as const)(
    '%s tells an unknown tenant from an unknown route',
    async (method) => {
      const tenant = await bench.newTenant();
      await expect(bench.client.routes[method]({ key: keyOf('nobody') })).rejects.toMatchObject({
        code: 'NOT_FOUND',
        reason: 'TENANT_NOT_FOUND',
        metadata: { tenant: 'nobody' },
      });
      await expect(bench.client.routes[method]({ key: keyOf(tenant) })).rejects.toMatchObject({
        code: 'NOT_FOUND',
        reason: 'ROUTE_NOT_FOUND',
        metadata: { route: `${tenant}/cart/production/v1` },
      });
    },
  );
});

describe('ListRoutes', () => {
  const bench = useControlPlanes();

  async function withRoutes() {
    const tenant = await bench.newTenant();
    const versions = ['v1', 'V1', '1.10', '1.9', 'a'];
    const keys = ['shop', 'cart'].flatMap((service) => versions.map((version) => keyOf(tenant, version, { service })));
    for (const key of keys) await bench.client.routes.createRoute({ route: routeOf(key) });
    await bench.client.routes.deleteRoute({ key: keyOf(tenant, 'a') });
    await bench.client.routes.deactivateRoute({ key: keyOf(tenant, 'V1') });
    return tenant;
  }

  const list = async (fields: Parameters<typeof bench.client.routes.listRoutes>[0]) => {
    const { routes, nextPageToken, revision } = await bench.client.routes.listRoutes(fields);
    return { paths: routes.map(({ key }) => `${key?.service}/${key?.version}`), nextPageToken, revision };
  };

  test('lists what is not deleted in the bytewise order of keys, with its revision', async () => {
    const tenant = await withRoutes();
    expect(await list({ tenant })).toEqual({
      paths: ['cart/1.10', 'cart/1.9', 'cart/V1', 'cart/v1', 'shop/1.10', 'shop/1.9', 'shop/V1', 'shop/a', 'shop/v1'],
      nextPageToken: '',
      revision: 13n,
    });
  });

  test('lists by service, environment and state', async () => {
    const tenant = await withRoutes();
    expect((await list({ tenant, service: 'shop' })).paths).toHaveLength(5);
    expect((await list({ tenant, service: 'sho' })).paths).toEqual([]);
    expect((await list({ tenant, environment: 'production' })).paths).toHaveLength(9);
    expect((await list({ tenant, environment: 'staging' })).paths).toEqual([]);
    expect((await list({ tenant, state: inactive })).paths).toEqual(['cart/V1']);
    expect((await list({ tenant, state: deleted })).paths).toEqual(['cart/a']);
    expect((await list({ tenant, showDeleted: true })).paths).toHaveLength(10);
  });

  test('lists page by page, each route once', async () => {
    const tenant = await withRoutes();
    const all = (await list({ tenant })).paths;
    for (const pageSize of [1, 2, 4, 9, 10]) {
      const paths: string[] = [];
      let pageToken = '';
      do {
        const page = await list({ tenant, pageSize, pageToken });
        expect(page.paths.length).toBeLessThanOrEqual(pageSize);
        paths.push(...page.paths);
        pageToken = page.nextPageToken;
      } while (pageToken !== '');
      expect(paths).toEqual(all);
    }
  });

  test('goes on behind a route that is deleted or created between two pages', async () => {
    const tenant = await withRoutes();
    const first = await list({ tenant, pageSize: 3 });
    expect(first.paths.at(-1)).toBe('cart/V1');
    await bench.client.routes.deleteRoute({ key: keyOf(tenant, 'V1') });
    await bench.client.routes.createRoute({ route: routeOf(keyOf(tenant, '0')) });
    await bench.client.routes.createRoute({ route: routeOf(keyOf(tenant, 'z')) });
    const second = await list({ tenant, pageSize: 3, pageToken: first.nextPageToken });
    expect(second.paths).toEqual(['cart/v1', 'cart/z', 'shop/1.10']);
    expect(second.revision).toBe(16n);
  });

  test('refuses a page token with another question, of another tenant and of no page', async () => {
    const tenant = await withRoutes();
    const { nextPageToken: pageToken } = await list({ tenant, pageSize: 1 });
    const other = await bench.newTenant();
    for (const question of [
      { tenant: other },
      { tenant, service: 'cart' },
      { tenant, environment: 'production' },
      { tenant, state: inactive },
      { tenant, showDeleted: true },
    ]) {
      await expect(list({ ...question, pageToken })).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        fieldViolations: [{ field: 'page_token' }],
      });
    }
    await expect(list({ tenant, pageToken: 'nonsense' })).rejects.toMatchObject({ reason: 'INVALID_FIELDS' });
    // The size of the page may change.
    expect((await list({ tenant, pageToken, pageSize: 2 })).paths).toEqual(['cart/1.9', 'cart/V1']);
  });

  test('has 100 routes a page unless asked otherwise, and 1,000 at most', async () => {
    const tenant = await bench.newTenant();
    const creating = Array.from({ length: 1_001 }, async (_, index) => {
      await bench.client.routes.createRoute({ route: routeOf(keyOf(tenant, `v${index}`)) });
    });
    await Promise.all(creating);
    expect((await list({ tenant })).paths).toHaveLength(100);
    for (const pageSize of [1_000, 1_001, 2_147_483_647]) {
      const page = await list({ tenant, pageSize });
      expect(page.paths).toHaveLength(1_000);
      expect((await list({ tenant, pageSize, pageToken: page.nextPageToken })).paths).toHaveLength(1);
    }
    await expect(list({ tenant, pageSize: -1 })).rejects.toMatchObject({ fieldViolations: [{ field: 'page_size' }] });
  });

  test('answers an empty list of a tenant without routes, and knows that there is no other', async () => {
    const tenant = await bench.newTenant();
    expect(await list({ tenant })).toEqual({ paths: [], nextPageToken: '', revision: 1n });
    await expect(list({ tenant: 'nobody' })).rejects.toMatchObject({ reason: 'TENANT_NOT_FOUND' });
  });
});
