import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TrafficPolicy, TrafficPolicyKey, TrafficPolicyValue } from '../../src/domain/traffic-policy.ts';
import type { ConfigurationStore } from '../../src/ports/configuration-store.ts';
import { createRoute } from '../fakes/example-configuration.ts';
import { exampleFullPolicy } from '../fakes/example-traffic-policy.ts';
import type { OpenedStores } from './configuration-store.contract.ts';
import { TenantHistory } from './tenant-history.ts';

/** What the store promises of traffic policies, whatever keeps them. */
export function describePolicies(name: string, open: () => Promise<OpenedStores>): void {
  describe(`traffic policies of ${name}`, () => {
    let opened: OpenedStores;
    let store: ConfigurationStore;
    let other: ConfigurationStore;

    beforeAll(async () => {
      opened = await open();
      [store, other] = opened.stores;
    });
    afterAll(async () => await opened[Symbol.asyncDispose]());

    const minimal: TrafficPolicyValue = { defaultVersion: 'v1', split: [], rules: [] };
    const keyOf = (tenant: string, service: string, environment = 'production'): TrafficPolicyKey => ({
      tenant,
      service,
      environment,
    });

    /** A tenant that has a policy at each key. */
    async function tenantWith(tenant: string, keys: readonly TrafficPolicyKey[]): Promise<TenantHistory> {
      const history = await new TenantHistory(store, tenant).begin();
      await history.commit(keys.flatMap((key) => [createRoute({ ...key, version: 'v1' }), setPolicy(key, minimal)]));
      return history;
    }

    function setPolicy(key: TrafficPolicyKey, value: TrafficPolicyValue) {
      return { kind: 'set_traffic_policy' as const, key, value, etag: '' };
    }

    const pathsOf = (found: { policies: readonly TrafficPolicy[] } | undefined) =>
      found?.policies.map(({ key }) => `${key.service}/${key.environment}`);

    test('are listed in the bytewise order of their keys, after a key, as many as asked for', async () => {
      const tenant = 'policies-order';
      const keys = ['b', 'a-b', 'ab', 'a'].flatMap((service) =>
        ['staging', 'production', 'prod-2'].map((environment) => keyOf(tenant, service, environment)),
      );
      const history = await tenantWith(tenant, keys);
      const all = ['a', 'a-b', 'ab', 'b'].flatMap((service) =>
        ['prod-2', 'production', 'staging'].map((environment) => `${service}/${environment}`),
      );
      const filter = { tenant, service: '' };
      const listed = await other.listPolicies(filter, undefined, 100);
      expect(pathsOf(listed)).toEqual(all);
      expect(listed?.revision).toBe(history.position.revision);
      // `after` is exclusive, and need not exist.
      const after = { service: 'a-b', environment: 'production' };
      expect(pathsOf(await other.listPolicies(filter, after, 3))).toEqual(all.slice(5, 8));
      expect(pathsOf(await other.listPolicies(filter, { service: 'a-c', environment: '' }, 100))).toEqual(all.slice(6));
      expect(pathsOf(await other.listPolicies({ tenant, service: 'ab' }, undefined, 2))).toEqual(all.slice(6, 8));
      expect(pathsOf(await other.listPolicies({ tenant, service: 'c' }, undefined, 2))).toEqual([]);
    });

    test('of a tenant that has none are an empty list, and of no tenant there is none', async () => {
      await new TenantHistory(store, 'policies-none').begin();
      expect(await other.listPolicies({ tenant: 'policies-none', service: '' }, undefined, 10)).toEqual({
        policies: [],
        revision: 1,
      });
      expect(await other.listPolicies({ tenant: 'policies-nobody', service: '' }, undefined, 10)).toBeUndefined();
    });

    test('come back as they went in, from every read', async () => {
      const tenant = 'policies-values';
      const key = keyOf(tenant, 'cart');
      const history = await tenantWith(tenant, [key]);
      await history.commit(['v2', 'v3'].map((version) => createRoute({ ...key, version })));
      for (const value of [
        exampleFullPolicy(),
        exampleFullPolicy({
          mirroring: { version: 'v1', percent: 5e-324 },
          split: [{ version: 'v1', weight: 10_000 }],
        }),
        { ...minimal, timeoutMs: 1, loadBalancing: 'ROUND_ROBIN' as const },
        minimal,
      ]) {
        const [change] = await history.commit([setPolicy(key, value)]);
        const read = await other.getPolicy(key);
        expect(read).toEqual({ key, ...value, ...provenanceOf(read) });
        expect((await other.listPolicies({ tenant, service: '' }, undefined, 10))?.policies).toEqual([read]);
        expect((await other.load(tenant))?.policies).toEqual([read]);
        const [logged] = await other.changesFrom(tenant, history.position.revision, 10);
        expect(logged).toEqual(change);
        expect(logged?.subject.after).toEqual(read);
      }
    });

    test('are gone when they are deleted, and the log remembers them', async () => {
      const tenant = 'policies-deleted';
      const keys = [keyOf(tenant, 'cart'), keyOf(tenant, 'shop')];
      const history = await tenantWith(tenant, keys);
      const before = await other.getPolicy(keys[0]!);
      const [change] = await history.commit([{ kind: 'delete_traffic_policy', key: keys[0]!, etag: '' }]);
      expect(await other.getPolicy(keys[0]!)).toBeUndefined();
      const listed = await other.listPolicies({ tenant, service: '' }, undefined, 10);
      expect([pathsOf(listed), listed?.revision]).toEqual([['shop/production'], change?.revision]);
      expect((await other.load(tenant))?.policies).toHaveLength(1);
      const [logged] = await other.changesFrom(tenant, history.position.revision, 1);
      expect(logged?.subject).toEqual({ kind: 'traffic_policy', key: keys[0], before, after: undefined });
    });
  });
}

function provenanceOf(policy: TrafficPolicy | undefined) {
  const { revision, etag, createTimeMs, updateTimeMs, updatedBy } = policy ?? {};
  return { revision, etag, createTimeMs, updateTimeMs, updatedBy };
}
