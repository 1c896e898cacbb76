import { describe, expect, test } from 'vitest';
import { rollbackTenant } from '../../../src/app/rollback.ts';
import type { Route } from '../../../src/domain/route.ts';
import { createRoute, createTenant, exampleKey, exampleTenant, moveRoute } from '../../fakes/example-configuration.ts';
import { createInMemoryConfigurationStore } from '../../fakes/in-memory-configuration-store.ts';
import { TestReplica } from '../../fakes/test-replica.ts';
import { unaskedHistory } from '../../fakes/unasked-history.ts';

const moved = exampleKey('v1');
const untouched = exampleKey('v2');
const made = exampleKey('v3');

/** A tenant whose route was moved after revision 3, and a rollback to that revision which others forestall. */
async function busyTenant() {
  const store = createInMemoryConfigurationStore(() => Date.UTC(2026, 5, 1));
  const replica = new TestReplica(store);
  await replica.write([createTenant(exampleTenant)]);
  await replica.write([createRoute(moved, {}), createRoute(untouched)]);
  const original = (await store.getRoute(moved)) as Route;
  await replica.write([moveRoute(moved, 'grpc://moved')]);
  const rollBack = (meanwhile: () => Promise<unknown>, validateOnly = false) =>
    rollbackTenant({
      history: {
        ...unaskedHistory,
        valuesBefore: async (tenant) => {
          const position = (await store.head(tenant))?.position;
          if (position === undefined) throw new Error('the tenant exists');
          await meanwhile();
          return { position, routes: [{ key: original.key, value: original }], policies: [] };
        },
      },
      tenant: exampleTenant,
      revision: 3,
      write: (mutations, restoresFrom) => replica.write(mutations, { restoresFrom, validateOnly }),
    });
  const urls = async () =>
    Object.fromEntries(
      (await store.load(exampleTenant))?.routes.map(({ key, endpoints, lifecycle }) => [
        key.version,
        lifecycle.state === 'DELETED' ? 'deleted' : endpoints[0]?.url,
      ]) ?? [],
    );
  return { store, replica, rollBack, urls, before: original.endpoints[0]?.url };
}

describe('a rollback of a tenant', () => {
  for (const through of ['this replica', 'another one']) {
    test(`also takes back what was committed through ${through} after it was worked out`, async () => {
      const { store, replica, rollBack, urls, before } = await busyTenant();
      const writer = through === 'this replica' ? replica : new TestReplica(store);
      const { revision, outcomes } = await rollBack(async () => {
        await writer.write([moveRoute(untouched, 'grpc://elsewhere')]);
        await writer.write([createRoute(made)]);
        await writer.write([moveRoute(untouched, 'grpc://again')]);
      });
      expect(revision).toBe(10);
      expect(outcomes.map(({ change }) => change?.action)).toEqual(['UPDATED', 'UPDATED', 'DELETED']);
      expect(await urls()).toEqual({ v1: before, v2: before, v3: 'deleted' });
    });
  }

  test('is not held off by writes that never stop', async () => {
    const { replica, rollBack, urls, before } = await busyTenant();
    let stop = false;
    const writing = (async () => {
      for (let turn = 0; !stop; turn++)
        await Promise.all([
          replica.write([moveRoute(untouched, `grpc://turn-${turn}`)]),
          replica.write([moveRoute(untouched, `grpc://then-${turn}`)]),
        ]);
    })();
    const { outcomes } = await rollBack(async () => {
      const { revision } = await replica.write([createRoute(made)]);
      while (replica.replica.find(exampleTenant)?.position.revision === revision) await Promise.resolve();
    });
    stop = true;
    await writing;
    expect(outcomes).toHaveLength(3);
    expect(await urls()).toMatchObject({ v1: before, v3: 'deleted' });
  });

  test('shows in a dry run what it would take back', async () => {
    const { replica, rollBack, urls } = await busyTenant();
    const { outcomes } = await rollBack(() => replica.write([createRoute(made)]), true);
    expect(outcomes.map(({ change }) => change?.action)).toEqual(['UPDATED', 'DELETED']);
    expect(await urls()).toMatchObject({ v1: 'grpc://moved' });
  });
});
