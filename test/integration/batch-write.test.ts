import { describe, expect, test } from 'vitest';
import {
  message,
  RouteState,
  TrafficManagerError,
  type Route,
  type TrafficManagerClient,
} from '../../src/client/index.ts';
import type { RouteWrite } from '../../src/gen/trafficmanager/v1/route_service.ts';
import { RouteWrite as RouteWriteType } from '../../src/gen/trafficmanager/v1/route_service.ts';
import { startTestControlPlane } from '../support/control-plane.ts';
import { endpointAt, keyOf, policyOf, routeOf, useControlPlanes } from './control-plane-bench.ts';

const bench = useControlPlanes(2);

function create(route: Route): RouteWrite {
  return message(RouteWriteType, { write: { $case: 'createRoute', value: route } });
}

function remove(tenant: string, version: string): RouteWrite {
  return message(RouteWriteType, { write: { $case: 'deleteRoute', value: { key: keyOf(tenant, version), etag: '' } } });
}

function deactivate(tenant: string, version: string): RouteWrite {
  return message(RouteWriteType, {
    write: { $case: 'deactivateRoute', value: { key: keyOf(tenant, version), etag: '' } },
  });
}

async function refusal(call: Promise<unknown>): Promise<TrafficManagerError> {
  const error: unknown = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof TrafficManagerError)) throw new Error('the call was not refused', { cause: error });
  return error;
}

async function createMany(client: TrafficManagerClient, tenant: string, count: number): Promise<void> {
  const writes = Array.from({ length: count }, (_unused, index) => create(routeOf(keyOf(tenant, `v${index}`))));
  await client.routes.batchWriteRoutes({ tenant, writes });
}

async function versionsOf(client: TrafficManagerClient, tenant: string, state: RouteState): Promise<number> {
  let count = 0;
  let pageToken = '';
  do {
    const page = await client.routes.listRoutes({ tenant, state, pageSize: 1_000, pageToken });
    count += page.routes.length;
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  return count;
}

describe('BatchWriteRoutes', () => {
  test('writes routes and policies of all kinds in one transaction, each write seeing the ones before it', async () => {
    const tenant = await bench.newTenant();
    const { client } = bench;
    const writes = [
      create(routeOf(keyOf(tenant, 'v1'))),
      create(routeOf(keyOf(tenant, 'v2'))),
      message(RouteWriteType, { write: { $case: 'setTrafficPolicy', value: policyOf(tenant, 'v2') } }),
      message(RouteWriteType, {
        write: {
          $case: 'updateRoute',
          value: {
            route: routeOf(keyOf(tenant, 'v1'), { endpoints: [endpointAt('grpc://moved')] }),
            updateMask: ['endpoints'],
            allowMissing: false,
          },
        },
      }),
      deactivate(tenant, 'v1'),
      create(routeOf(keyOf(tenant, 'v2'))),
    ];
    const { results, revision } = await client.routes.batchWriteRoutes({ tenant, writes });
    expect(results.map(({ changed }) => changed)).toEqual([true, true, true, true, true, false]);
    expect(results.map((result) => Number(result.revision))).toEqual([2, 3, 4, 5, 6, 3]);
    expect(revision).toBe(6n);
    const { route } = await client.routes.getRoute({ key: keyOf(tenant, 'v1') });
    expect(route).toMatchObject({ state: RouteState.ROUTE_STATE_INACTIVE, etag: results[4]?.etag });
    expect(route?.endpoints.map(({ url }) => url)).toEqual(['grpc://moved']);
  });

  test('lets a policy and the routes it names come and go in any order within the batch', async () => {
    const tenant = await bench.newTenant();
    const { client } = bench;
    const policy = (version: string): RouteWrite =>
      message(RouteWriteType, { write: { $case: 'setTrafficPolicy', value: policyOf(tenant, version) } });
    await client.routes.batchWriteRoutes({ tenant, writes: [policy('v1'), create(routeOf(keyOf(tenant, 'v1')))] });
    await client.routes.batchWriteRoutes({
      tenant,
      writes: [remove(tenant, 'v1'), create(routeOf(keyOf(tenant, 'v2'))), policy('v2')],
    });
    expect(await refusal(client.routes.batchWriteRoutes({ tenant, writes: [remove(tenant, 'v2')] }))).toMatchObject({
      reason: 'VERSION_IN_USE',
    });
  });

  test('writes nothing when one write is refused, and says which', async () => {
    const tenant = await bench.newTenant();
    const before = await bench.everyRow();
    const writes = [create(routeOf(keyOf(tenant, 'v1'))), create(routeOf(keyOf(tenant, 'v2'))), remove(tenant, 'v9')];
    expect(await refusal(bench.client.routes.batchWriteRoutes({ tenant, writes }))).toMatchObject({
      code: 'NOT_FOUND',
      reason: 'ROUTE_NOT_FOUND',
      metadata: { index: '2' },
    });
    expect(await bench.everyRow()).toEqual(before);
  });

  test('says which write was refused of a batch of one, too, and nothing of the kind of other calls', async () => {
    const tenant = await bench.newTenant();
    const { routes } = bench.client;
    const missing = { code: 'NOT_FOUND', reason: 'ROUTE_NOT_FOUND' };
    const batch = await refusal(routes.batchWriteRoutes({ tenant, writes: [remove(tenant, 'v9')] }));
    expect(batch).toMatchObject({ ...missing, metadata: { index: '0' } });
    const single = await refusal(routes.deleteRoute({ key: keyOf(tenant, 'v9') }));
    expect(single).toMatchObject(missing);
    expect(single.metadata).not.toHaveProperty('index');
    await createMany(bench.client, tenant, 2);
    await bench.client.tenants.deleteTenant({ tenant });
    const rollback = await refusal(routes.rollbackTenant({ tenant, revision: 1n, force: true }));
    expect(rollback).toMatchObject({ reason: 'TENANT_DELETED' });
    expect(rollback.metadata).not.toHaveProperty('index');
  });

  test('names every field that is wrong, of every write, and writes nothing', async () => {
    const tenant = await bench.newTenant();
    const before = await bench.everyRow();
    const writes = [
      create(routeOf(keyOf(tenant, 'v1'))),
      create(routeOf(keyOf(tenant, '.'))),
      create(routeOf(keyOf('another'))),
      message(RouteWriteType, {}),
    ];
    const { fieldViolations } = await refusal(bench.client.routes.batchWriteRoutes({ tenant, writes }));
    expect(fieldViolations.map(({ field }) => field)).toEqual([
      'writes[1].create_route.key.version',
      'writes[2]',
      'writes[3]',
    ]);
    expect(await refusal(bench.client.routes.batchWriteRoutes({ tenant, writes: [] }))).toMatchObject({
      reason: 'INVALID_FIELDS',
    });
    const many = Array.from({ length: 10_001 }, () => remove(tenant, 'v1'));
    expect(await refusal(bench.client.routes.batchWriteRoutes({ tenant, writes: many }))).toMatchObject({
      reason: 'INVALID_FIELDS',
    });
    expect(await bench.everyRow()).toEqual(before);
  });

  test('shows the changes it would make, and makes none', async () => {
    const tenant = await bench.newTenant();
    const before = await bench.everyRow();
    const { results } = await bench.client.routes.batchWriteRoutes({
      tenant,
      writes: [create(routeOf(keyOf(tenant)))],
      validateOnly: true,
    });
    expect(results[0]?.change?.resource?.$case).toBe('route');
    expect(await bench.everyRow()).toEqual(before);
  });

  test('answers a repeated request id as it did at first, on any replica', async () => {
    const tenant = await bench.newTenant();
    const writes = [
      create(routeOf(keyOf(tenant, 'v1'))),
      create(routeOf(keyOf(tenant, 'v1'))),
      create(routeOf(keyOf(tenant, 'v2'))),
    ];
    const [first, second] = bench.replicas;
    const once = await first?.client.routes.batchWriteRoutes({ tenant, writes, requestId: 'batch-1' });
    await first?.client.routes.deleteRoute({ key: keyOf(tenant, 'v1') });
    expect(await second?.client.routes.batchWriteRoutes({ tenant, writes, requestId: 'batch-1' })).toEqual(once);
  });

  test('is another request than a single write, or a forced batch, of the same request id', async () => {
    const tenant = await bench.newTenant();
    const { routes } = bench.client;
    const route = routeOf(keyOf(tenant, 'v1'));
    const batch = { tenant, writes: [create(route)], requestId: 'batch-2' };
    await routes.batchWriteRoutes(batch);
    const reused = { code: 'INVALID_ARGUMENT', reason: 'REQUEST_ID_REUSED' };
    expect(await refusal(routes.createRoute({ route, requestId: 'batch-2' }))).toMatchObject(reused);
    expect(await refusal(routes.batchWriteRoutes({ ...batch, force: true }))).toMatchObject(reused);
  });

  test('takes 10,000 writes at once', async () => {
    const tenant = await bench.newTenant();
    await createMany(bench.client, tenant, 10_000);
    expect(await versionsOf(bench.client, tenant, RouteState.ROUTE_STATE_ACTIVE)).toBe(10_000);
    expect(await bench.client.tenants.getTenant({ tenant })).toMatchObject({ tenant: { revision: 10_001n } });
  });
});

describe('shrink protection', () => {
  test('refuses a batch that takes more than a fifth of the active routes out of use, unless forced', async () => {
    const tenant = await bench.newTenant();
    await createMany(bench.client, tenant, 100);
    const writes = (count: number): RouteWrite[] =>
      Array.from({ length: count }, (_unused, index) =>
        index % 2 === 0 ? remove(tenant, `v${index}`) : deactivate(tenant, `v${index}`),
      );
    expect(await refusal(bench.client.routes.batchWriteRoutes({ tenant, writes: writes(21) }))).toMatchObject({
      code: 'FAILED_PRECONDITION',
      reason: 'SHRINK_REFUSED',
      metadata: { lost: '21', active: '100', allowed: '20' },
    });
    expect(await versionsOf(bench.client, tenant, RouteState.ROUTE_STATE_ACTIVE)).toBe(100);
    await bench.client.routes.batchWriteRoutes({ tenant, writes: writes(21), force: true });
    expect(await versionsOf(bench.client, tenant, RouteState.ROUTE_STATE_ACTIVE)).toBe(79);
  });

  test('always allows ten, and counts what is lost in the end, not on the way', async () => {
    const tenant = await bench.newTenant();
    await createMany(bench.client, tenant, 12);
    const away = Array.from({ length: 11 }, (_unused, index) => deactivate(tenant, `v${index}`));
    expect(await refusal(bench.client.routes.batchWriteRoutes({ tenant, writes: away }))).toMatchObject({
      reason: 'SHRINK_REFUSED',
    });
    const back = message(RouteWriteType, {
      write: { $case: 'activateRoute', value: { key: keyOf(tenant, 'v0'), etag: '' } },
    });
    await bench.client.routes.batchWriteRoutes({ tenant, writes: [...away, back] });
    expect(await versionsOf(bench.client, tenant, RouteState.ROUTE_STATE_ACTIVE)).toBe(2);
  });

  test('is about batches: a single route can be taken out of use however strict it is', async () => {
    const tenant = await bench.newTenant();
    await using strict = await startTestControlPlane(bench.databaseUrl, { shrinkPercentMax: 0, shrinkRoutesMin: 0 });
    const { routes } = strict.client;
    await createMany(strict.client, tenant, 2);
    expect(await refusal(routes.batchWriteRoutes({ tenant, writes: [remove(tenant, 'v0')] }))).toMatchObject({
      reason: 'SHRINK_REFUSED',
    });
    await routes.deactivateRoute({ key: keyOf(tenant, 'v0') });
    await routes.deleteRoute({ key: keyOf(tenant, 'v1') });
    expect(await versionsOf(strict.client, tenant, RouteState.ROUTE_STATE_ACTIVE)).toBe(0);
  });
});
