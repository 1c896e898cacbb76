import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TenantState } from '../../src/domain/tenant-view.ts';
import type { ConfigurationStore, RouteFilter, TenantSnapshot } from '../../src/ports/configuration-store.ts';
import {
  createRoute,
  exampleEndpoint,
  exampleKey,
  moveRoute,
  setDefaultVersion,
} from '../fakes/example-configuration.ts';
import type { OpenedStores } from './configuration-store.contract.ts';
import { TenantHistory } from './tenant-history.ts';

/** What reads promise, whatever keeps the configuration. */
export function describeReads(name: string, open: () => Promise<OpenedStores>): void {
  describe(`reads of ${name}`, () => {
    let opened: OpenedStores;
    let store: ConfigurationStore;
    let other: ConfigurationStore;

    beforeAll(async () => {
      opened = await open();
      [store, other] = opened.stores;
    });
    afterAll(async () => await opened[Symbol.asyncDispose]());

    async function newTenant(tenant: string): Promise<TenantHistory> {
      return await new TenantHistory(store, tenant).begin();
    }

    const live = { service: '', environment: '', states: ['ACTIVE', 'INACTIVE'] } as const;

    async function listed(filter: RouteFilter, after?: { service: string; environment: string; version: string }) {
      const found = await other.listRoutes(filter, after, 1_000);
      return found?.routes.map(({ key }) => `${key.service}/${key.environment}/${key.version}`);
    }

    test('a deleted tenant answers nothing but that it is there, and everything again once it is back', async () => {
      const history = await newTenant('out-of-use');
      const { tenant } = history;
      const key = exampleKey('v1', { tenant });
      await history.commit([createRoute(key), setDefaultVersion(key, 'v1')]);
      const answers = async () => [
        await other.getRoute(key),
        await other.getPolicy(key),
        (await other.listRoutes({ ...live, tenant }, undefined, 10))?.routes,
        (await other.listPolicies({ tenant, service: '' }, undefined, 10))?.policies,
      ];
      const before = await answers();
      await history.commit([{ kind: 'delete_tenant', tenant, etag: '' }]);
      expect(await answers()).toEqual([undefined, undefined, undefined, undefined]);
      expect(await other.getTenant(tenant)).toMatchObject({ tenant, state: 'DELETED' });
      await history.commit([{ kind: 'undelete_tenant', tenant, etag: '' }]);
      expect(await answers()).toEqual(before);
    });

    test('everything that is loaded is what the log comes to, from its first change on', async () => {
      const histories = await Promise.all(['replay-1', 'replay-2'].map(newTenant));
      for (const history of histories) {
        const key = exampleKey('v1', { tenant: history.tenant });
        const keys = ['v1', 'V2', 'v2'].map((version) => ({ ...key, version }));
        await history.commit(keys.map((each) => createRoute(each)));
        await history.commit([setDefaultVersion(key, 'v2')], [{ kind: 'delete_route', key, etag: '' }]);
        await history.commit([moveRoute({ ...key, version: 'V2' }, 'http://10.0.0.1/path')]);
        await history.commit([
          { kind: 'set_route_state', key: { ...key, version: 'V2' }, state: 'INACTIVE', etag: '' },
        ]);
        await history.commit([{ kind: 'delete_route', key: { ...key, version: 'V2' }, etag: '' }]);
        await history.commit([{ kind: 'undelete_route', key, etag: '' }]);
      }
      const all = (await other.loadAll()).filter(({ tenant }) => tenant.tenant.startsWith('replay-'));
      expect(all).toHaveLength(2);
      for (const snapshot of all) {
        const log = await other.changesFrom(snapshot.tenant.tenant, 1, 1_000);
        const replayed = new TenantState();
        for (const change of log) replayed.apply(change);
        const { tenant, routes, policies } = contentOf(replayed);
        expect(sortedSnapshot(snapshot)).toEqual({
          tenant,
          position: { revision: log.at(-1)?.revision, commitId: log.at(-1)?.commitId },
          routes,
          policies,
        });
        const loaded = await other.load(snapshot.tenant.tenant);
        expect(loaded && sortedSnapshot(loaded)).toEqual(sortedSnapshot(snapshot));
      }
      expect(await other.heads()).toEqual(
        expect.arrayContaining(histories.map(({ tenant, position }) => ({ tenant, position }))),
      );
    });

    test('routes are listed in the bytewise order of their keys', async () => {
      const history = await newTenant('order');
      const { tenant } = history;
      const versions = ['a', 'Z', '1.10.0', '1.9.0', 'v1', 'V1', 'v1.0', 'v1-0', 'v10', '0', 'RC.1'];
      const keys = versions.flatMap((version) =>
        ['b', 'a-b', 'ab', 'a'].map((service) => ({ tenant, service, environment: service, version })),
      );
      await history.commit(keys.map((key) => createRoute(key)));
      const bytewise = keys
        .map((key) => [key.service, key.environment, key.version].map((part) => Buffer.from(part)))
        .toSorted((left, right) => comparePaths(left, right))
        .map((parts) => parts.map(String).join('/'));
      expect(await listed({ tenant, ...live })).toEqual(bytewise);
      // `after` is exclusive, and need not exist.
      const middle = keys[17];
      if (middle === undefined) throw new Error('there is a middle');
      const rest = bytewise.slice(bytewise.indexOf(`${middle.service}/${middle.environment}/${middle.version}`) + 1);
      expect(await listed({ tenant, ...live }, middle)).toEqual(rest);
      expect(await listed({ tenant, ...live }, { service: 'a-c', environment: '', version: '' })).toEqual(
        bytewise.filter((path) => path.startsWith('ab/') || path.startsWith('b/')),
      );
    });

    test('routes are filtered by service, environment and state, and a page has as many as asked for', async () => {
      const history = await newTenant('filters');
      const { tenant } = history;
      const at = (service: string, environment: string, version: string) => ({ tenant, service, environment, version });
      await history.commit([
        createRoute(at('cart', 'production', 'v1')),
        createRoute(at('cart', 'production', 'v2'), { lifecycle: { state: 'INACTIVE' } }),
        createRoute(at('cart', 'staging', 'v1')),
        createRoute(at('shop', 'production', 'v1')),
        { kind: 'delete_route', key: at('shop', 'production', 'v1'), etag: '' },
      ]);
      const all = { tenant, service: '', environment: '', states: ['ACTIVE', 'INACTIVE', 'DELETED'] } as const;
      expect(await listed({ tenant, ...live })).toEqual([
        'cart/production/v1',
        'cart/production/v2',
        'cart/staging/v1',
      ]);
      expect(await listed({ ...all, service: 'shop' })).toEqual(['shop/production/v1']);
      expect(await listed({ ...all, environment: 'staging' })).toEqual(['cart/staging/v1']);
      expect(await listed({ ...all, states: ['INACTIVE'] })).toEqual(['cart/production/v2']);
      expect(await listed({ ...all, states: ['DELETED'], service: 'cart' })).toEqual([]);
      const page = await other.listRoutes(all, at('cart', 'production', 'v1'), 2);
      expect(page?.routes.map(({ key }) => key)).toEqual([at('cart', 'production', 'v2'), at('cart', 'staging', 'v1')]);
      expect(page?.revision).toBe(history.position.revision);
    });

    test('a tenant without routes has an empty list, with its revision', async () => {
      await newTenant('empty');
      expect(await other.listRoutes({ tenant: 'empty', ...live }, undefined, 10)).toEqual({ routes: [], revision: 1 });
    });

    test('tenants are listed in the bytewise order of their names, after a name', async () => {
      const names = ['list-b', 'list-a-b', 'list-ab', 'list-a', 'list-a0'];
      await Promise.all(names.map(newTenant));
      const found = async (after: string, limit: number) =>
        (await other.listTenants(after, { limit, showDeleted: false })).map((each) => each.tenant);
      expect(await found('list-', 5)).toEqual(['list-a', 'list-a-b', 'list-a0', 'list-ab', 'list-b']);
      expect(await found('list-a-b', 2)).toEqual(['list-a0', 'list-ab']);
      expect(await found('zzzz', 2)).toEqual([]);
    });

    test('values come back as they went in', async () => {
      const history = await newTenant('values');
      const { tenant } = history;
      const policyKey = { tenant, service: 'cart', environment: 'production' };
      const key = exampleKey('RC.1', policyKey);
      const labels = Object.fromEntries([
        ['', 'empty key'],
        ['__proto__', 'own'],
        ['constructor', ''],
        ['10', 'ten'],
        ['9', 'nine'],
        ['grüße', '👋 "quoted" \\ /'],
        ['null', 'null'],
      ]);
      const endpoints = [
        exampleEndpoint({ url: 'https://[::1]:65535/a%20b', weight: 0, zone: 'eu-west-1a', priority: 127, labels }),
        exampleEndpoint({ url: 'http://10.0.0.1', weight: 10_000 }),
      ];
      await history.commit([createRoute(key, { endpoints, labels, lifecycle: { state: 'INACTIVE' } })]);
      const split = [
        { version: 'RC.1', weight: 0 },
        { version: 'v2', weight: 10_000 },
      ];
      await history.commit([
        createRoute({ ...key, version: 'v2' }),
        { kind: 'set_traffic_policy', key: policyKey, value: { defaultVersion: '', split, rules: [] }, etag: '' },
      ]);
      expect(await other.getRoute(key)).toMatchObject({ endpoints, labels, lifecycle: { state: 'INACTIVE' } });
      expect(Object.entries((await other.getRoute(key))?.labels ?? {})).toHaveLength(7);
      expect(await other.getPolicy(policyKey)).toMatchObject({ defaultVersion: '', split });
      expect(await other.changesFrom(tenant, 1, 100)).toEqual(history.changes);
    });

    test('a read sees every commit that was answered before it began', async () => {
      const history = await newTenant('read-your-writes');
      const key = exampleKey('v1', { tenant: history.tenant });
      await history.commit([createRoute(key)]);
      for (let write = 0; write < 20; write++) {
        const [change] = await history.commit([moveRoute(key, `grpc://host-${write}`)]);
        const [route, head, log] = await Promise.all([
          other.getRoute(key),
          other.head(history.tenant),
          other.changesFrom(history.tenant, history.position.revision, 10),
        ]);
        expect([route?.revision, head?.position.revision]).toEqual([change?.revision, change?.revision]);
        expect(log).toEqual([change]);
      }
    });
  });
}

function comparePaths(left: readonly Buffer[], right: readonly Buffer[]): number {
  for (const [index, part] of left.entries()) {
    const order = Buffer.compare(part, right[index] ?? Buffer.alloc(0));
    if (order !== 0) return order;
  }
  return 0;
}

type Content = Pick<TenantSnapshot, 'routes' | 'policies'> & { readonly tenant: TenantSnapshot['tenant'] | undefined };

/** The order of a snapshot's lists is nobody's promise. */
function sortedSnapshot(snapshot: TenantSnapshot): TenantSnapshot {
  return { ...snapshot, ...sortedContent(snapshot) };
}

function sortedContent<Lists extends Pick<TenantSnapshot, 'routes' | 'policies'>>(lists: Lists): Lists {
  const byRevision = (left: { revision: number }, right: { revision: number }): number =>
    left.revision - right.revision;
  return { ...lists, routes: lists.routes.toSorted(byRevision), policies: lists.policies.toSorted(byRevision) };
}

function contentOf(state: TenantState): Content {
  const groups = [...state.all()];
  return sortedContent({
    tenant: state.tenant,
    routes: groups.flatMap((group) => [...group.routes.values()]),
    policies: groups.flatMap((group) => group.policy ?? []),
  });
}
