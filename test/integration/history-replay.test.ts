import { Client as Postgres } from 'pg';
import { expect, test } from 'vitest';
import { message, Tenant, type TrafficManagerClient } from '../../src/client/index.ts';
import { RouteWrite } from '../../src/gen/trafficmanager/v1/route_service.ts';
import { keyOf, policyOf, routeOf, useControlPlanes } from './control-plane-bench.ts';

const bench = useControlPlanes();

/** What a tenant was up to a revision was long ago, and retention has removed all of it but its newest transaction. */
async function removeAllButTheNewest(tenant: string, upTo: bigint): Promise<void> {
  const database = new Postgres({ connectionString: bench.databaseUrl });
  await database.connect();
  try {
    await database.query('ALTER TABLE changes DISABLE TRIGGER changes_append_only');
    await database.query(
      `UPDATE changes SET commit_time = commit_time - interval '90 days' WHERE tenant = $1 AND revision <= $2`,
      [tenant, upTo],
    );
    await database.query('ALTER TABLE changes ENABLE TRIGGER changes_append_only');
    await database.query(`SELECT compact_changes($1, '30 days', 1000)`, [tenant]);
  } finally {
    await database.end();
  }
}

/** Mutations that find everything as they want it. */
function repetitions(client: TrafficManagerClient, tenant: string): (() => Promise<unknown>)[] {
  const route = routeOf(keyOf(tenant, 'v1'));
  const writes = ['v1', 'v2'].map((version) =>
    message(RouteWrite, { write: { $case: 'createRoute', value: routeOf(keyOf(tenant, version)) } }),
  );
  return [
    () => client.routes.createRoute({ route, requestId: 'route' }),
    () => client.policies.setTrafficPolicy({ trafficPolicy: policyOf(tenant, 'v1'), requestId: 'policy' }),
    () => client.tenants.createTenant({ tenant: message(Tenant, { tenant }), requestId: 'tenant' }),
    () => client.routes.batchWriteRoutes({ tenant, writes, requestId: 'batch' }),
  ];
}

test('a repeated rollback is answered as at first, though retention has removed what it went back to', async () => {
  const tenant = await bench.newTenant();
  const { client } = bench;
  const [key, untouched] = [keyOf(tenant, 'v1'), keyOf(tenant, 'v2')];
  await client.routes.createRoute({ route: routeOf(key) });
  const { revision } = await client.routes.createRoute({ route: routeOf(untouched) });
  await client.routes.createRoute({ route: routeOf(keyOf(tenant, 'later')) });
  const { revision: newest } = await client.routes.deactivateRoute({ key });
  const repeatable = [
    () => client.routes.rollbackRoute({ key, revision, requestId: 'route' }),
    () => client.routes.rollbackRoute({ key: untouched, revision, requestId: 'untouched' }),
    () => client.routes.rollbackTenant({ tenant, revision, requestId: 'tenant' }),
    () => client.routes.rollbackTenant({ tenant, revision, requestId: 'unchanged' }),
  ];
  const first = await inOrder(repeatable);
  expect(first).toMatchObject([{ revision: 6n }, { change: undefined }, { changedCount: 1 }, { changedCount: 0 }]);

  await removeAllButTheNewest(tenant, newest);
  const compacted = { code: 'OUT_OF_RANGE', reason: 'REVISION_COMPACTED' };
  await expect(client.routes.rollbackRoute({ key, revision, requestId: 'new' })).rejects.toMatchObject(compacted);
  await expect(client.routes.rollbackTenant({ tenant, revision, requestId: 'new' })).rejects.toMatchObject(compacted);
  expect(await inOrder(repeatable)).toEqual(first);
  // Also when everything is another by now.
  for (const changed of [key, untouched]) await client.routes.deleteRoute({ key: changed });
  expect(await inOrder(repeatable)).toEqual(first);

  const another = { revision: newest, requestId: 'route' };
  await expect(client.routes.rollbackRoute({ key, ...another })).rejects.toMatchObject({ reason: 'REQUEST_ID_REUSED' });
});

async function inOrder(calls: readonly (() => Promise<unknown>)[]): Promise<unknown[]> {
  const answers: unknown[] = [];
  for (const call of calls) answers.push(await call());
  return answers;
}

test('a request that changed nothing is answered again as at first, though retention has removed what it found', async () => {
  const tenant = await bench.newTenant();
  const { client } = bench;
  for (const version of ['v1', 'v2', 'last'])
    await client.routes.createRoute({ route: routeOf(keyOf(tenant, version)) });
  await client.policies.setTrafficPolicy({ trafficPolicy: policyOf(tenant, 'v1') });
  const { revision } = await client.routes.deactivateRoute({ key: keyOf(tenant, 'last') });
  await removeAllButTheNewest(tenant, revision);
  const first = await Promise.all(repetitions(client, tenant).map((repeat) => repeat()));
  expect(await Promise.all(repetitions(client, tenant).map((repeat) => repeat()))).toEqual(first);
  // Also when everything is another by now.
  await client.routes.deactivateRoute({ key: keyOf(tenant, 'v1') });
  await client.routes.deleteRoute({ key: keyOf(tenant, 'v2') });
  await client.policies.setTrafficPolicy({ trafficPolicy: policyOf(tenant, 'last') });
  await client.tenants.updateTenant({ tenant: message(Tenant, { tenant, displayName: 'Acme' }) });
  expect(await Promise.all(repetitions(client, tenant).map((repeat) => repeat()))).toEqual(first);
});
