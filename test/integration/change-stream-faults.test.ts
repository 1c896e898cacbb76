import { connect, StringCodec, type NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { message, Tenant, type TrafficManagerClient } from '../../src/client/index.ts';
import { findFreePort } from '../../deploy/embedded/listen-address.ts';
import { startTestControlPlane } from '../support/control-plane.ts';
import { provideNatsServer, type TestNats } from '../support/nats.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { readPublishedStreams, type PublishedStreams } from '../support/published-stream.ts';
import { endpointAt, keyOf, policyOf, routeOf } from './control-plane-bench.ts';

/** What happens to a stream behind the back of whoever publishes to it, and to what it is made of. */
describe('a change stream', () => {
  let nats: TestNats;
  let database: TestDatabase;
  let client: TrafficManagerClient;
  let connection: NatsConnection;
  let published: PublishedStreams;
  const owned = new AsyncDisposableStack();
  let tenants = 0;
  let metricsUrl: string;

  beforeAll(async () => {
    nats = owned.use(await (await provideNatsServer()).start());
    database = owned.use(await createDatabase(inject('postgresUrl')));
    // A comparison each second, and tombstones for as long as it takes to look at them.
    metricsUrl = `http://127.0.0.1:${await findFreePort()}/metrics`;
    const metricsAddress = new URL(metricsUrl).host;
    const config = { natsUrl: nats.url, reconcileMinutes: 1 / 60, tombstoneHours: 1, metricsAddress };
    ({ client } = owned.use(await startTestControlPlane(database.url, config)));
    published = owned.use(await readPublishedStreams(nats.url, database.url));
    connection = await connect({ servers: `127.0.0.1:${nats.port}`, maxReconnectAttempts: -1, reconnectTimeWait: 50 });
    owned.defer(async () => await connection.close());
  });
  afterAll(async () => await owned.disposeAsync());

  async function newTenant(routes: number): Promise<string> {
    const tenant = `tenant-${++tenants}`;
    await client.tenants.createTenant({ tenant: message(Tenant, { tenant }) });
    for (let version = 0; version < routes; version++)
      await client.routes.createRoute({ route: routeOf(keyOf(tenant, `v${version}`)) });
    return tenant;
  }

  async function repairs(): Promise<number> {
    const text = await (await fetch(metricsUrl)).text();
    return Number(/^traffic_manager_stream_repairs_total (\d+)$/m.exec(text)?.[1]);
  }

  async function move(tenant: string, version: string, url: string): Promise<void> {
    await client.routes.updateRoute({ route: routeOf(keyOf(tenant, version), { endpoints: [endpointAt(url)] }) });
  }

  test('has every route and policy, tombstones of what was deleted, and where the tenant is', async () => {
    const tenant = await newTenant(3);
    // A stream that is filled after a deletion has no tombstone of it.
    await published.untilEqual(tenant);
    await client.policies.setTrafficPolicy({ trafficPolicy: policyOf(tenant, 'v0') });
    await client.routes.deleteRoute({ key: keyOf(tenant, 'v2') });
    const { meta } = await published.untilEqual(tenant);
    expect(meta).toMatchObject({ resourceCount: 3, term: 1, tenant: { tenant, revision: 6 } });
    expect(await published.entries(tenant)).toHaveLength(4);
    await client.policies.deleteTrafficPolicy({ key: { tenant, service: 'cart', environment: 'production' } });
    const { meta: after } = await published.untilEqual(tenant);
    expect(after).toMatchObject({ resourceCount: 2, epoch: meta?.epoch });
    expect(await published.entries(tenant)).toHaveLength(4);
  });

  test('that is deleted is made anew, filled under a new epoch, and followed on', async () => {
    const tenant = await newTenant(5);
    const before = await published.untilEqual(tenant);
    await (await connection.jetstreamManager()).streams.delete(`TM_${tenant}`);
    const after = await published.untilEqual(tenant);
    expect(after.meta?.epoch).not.toBe(before.meta?.epoch);
    await move(tenant, 'v1', 'grpc://moved');
    await published.untilEqual(tenant);
  });

  test('whose server is killed goes on under its epoch', async () => {
    const tenant = await newTenant(5);
    const before = await published.untilEqual(tenant);
    await nats.crash();
    await move(tenant, 'v1', 'grpc://while-it-is-down');
    await nats.start();
    const after = await published.untilEqual(tenant);
    expect(after.meta?.epoch).toBe(before.meta?.epoch);
  });

  test('whose store is wiped is filled anew', async () => {
    const tenant = await newTenant(5);
    const before = await published.untilEqual(tenant);
    await nats.stop();
    await nats.wipe();
    await nats.start();
    const after = await published.untilEqual(tenant);
    expect(after.meta?.epoch).not.toBe(before.meta?.epoch);
  });

  test('that is restored from an older copy gets a new epoch: sequence numbers of the old one were given away twice', async () => {
    const tenant = await newTenant(5);
    await published.untilEqual(tenant);
    await nats.stop();
    const copy = await nats.copyStore();
    await nats.start();
    await published.untilEqual(tenant);
    await client.routes.deleteRoute({ key: keyOf(tenant, 'v4') });
    await move(tenant, 'v1', 'grpc://newer-than-the-copy');
    const before = await published.untilEqual(tenant);
    await nats.stop();
    await nats.restoreStore(copy);
    await nats.start();
    const after = await published.untilEqual(tenant);
    expect(after.meta?.epoch).not.toBe(before.meta?.epoch);
  });

  test.each([
    [
      'lost an entry',
      async (tenant: string) => {
        await (
          await connection.jetstreamManager()
        ).streams.purge(`TM_${tenant}`, { filter: `tm.v1.${tenant}.route.cart.production.v1` });
      },
    ],
    [
      'lost its meta',
      async (tenant: string) => {
        await (await connection.jetstreamManager()).streams.purge(`TM_${tenant}`, { filter: `tm.v1.${tenant}.meta` });
      },
    ],
    [
      'was emptied',
      async (tenant: string) => {
        await (await connection.jetstreamManager()).streams.purge(`TM_${tenant}`);
      },
    ],
    [
      'got an entry that is no change',
      async (tenant: string) => {
        await connection
          .jetstream()
          .publish(`tm.v1.${tenant}.route.cart.production.v1`, StringCodec().encode('nonsense'));
      },
    ],
    [
      'got an entry of something that does not exist',
      async (tenant: string) => {
        const other = await (
          await connection.jetstreamManager()
        ).streams.getMessage(`TM_${tenant}`, { last_by_subj: `tm.v1.${tenant}.route.cart.production.v1` });
        await connection.jetstream().publish(`tm.v1.${tenant}.route.cart.production.v9`, other.data);
      },
    ],
  ] as const)('that %s is repaired, and that is counted, reported and answered', async (_name, harm) => {
    const tenant = await newTenant(4);
    const before = await published.untilEqual(tenant);
    const repairsBefore = await repairs();
    await harm(tenant);
    // What was harmed does not equal again before it is repaired, which may be at once.
    const after = await published.untilEqual(tenant);
    expect(after.meta?.epoch).not.toBe(before.meta?.epoch);
    // The report is written right after the meta that ends the repair.
    let status = (await client.changeStreams.getChangeStream({ tenant })).changeStream;
    while (status?.counters?.repairs !== 1n)
      status = (await client.changeStreams.getChangeStream({ tenant })).changeStream;
    expect(await repairs()).toBe(repairsBefore + 1);
  });

  test('whose figures are asked for over HTTP: only those, and only to be read', async () => {
    const root = new URL('/', metricsUrl);
    expect((await fetch(root)).status).toBe(404);
    expect((await fetch(metricsUrl, { method: 'POST' })).status).toBe(405);
    const text = await (await fetch(metricsUrl)).text();
    expect(text).toContain('traffic_manager_stream_leader 1');
    // Whoever scrapes it is not told who the tenants are.
    expect(text).not.toContain('tenant-');
  });
});
