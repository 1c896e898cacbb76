import { Client as Postgres } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { message, Tenant, type TrafficManagerClient } from '../../src/client/index.ts';
import { startTestControlPlane } from '../support/control-plane.ts';
import { provideNatsServer, type TestNats } from '../support/nats.ts';
import { createDatabase, startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { readPublishedStreams } from '../support/published-stream.ts';
import { endpointAt, keyOf, routeOf } from './control-plane-bench.ts';

/** Puts a database back to what it was: everybody who is connected is thrown out, as when a backup is restored. */
async function restore(adminUrl: string, name: string, copy: string): Promise<void> {
  const client = new Postgres({ connectionString: adminUrl });
  await client.connect();
  try {
    await client.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS false`);
    await client.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`);
    await client.query(`DROP DATABASE ${name} WITH (FORCE)`);
    await client.query(`CREATE DATABASE ${name} TEMPLATE ${copy}`);
  } finally {
    await client.end();
  }
}

describe('a change stream whose tenant', () => {
  async function createTenant(client: TrafficManagerClient, tenant: string): Promise<void> {
    await client.tenants.createTenant({ tenant: message(Tenant, { tenant }) });
    for (let version = 0; version < 5; version++)
      await client.routes.createRoute({ route: routeOf(keyOf(tenant, `v${version}`)) });
  }

  async function move(client: TrafficManagerClient, tenant: string, url: string): Promise<void> {
    await client.routes.updateRoute({ route: routeOf(keyOf(tenant, 'v1'), { endpoints: [endpointAt(url)] }) });
  }

  test('was put back to an earlier moment, and has gone on from there, follows it under a new epoch', async () => {
    await using owned = new AsyncDisposableStack();
    const nats = owned.use(await (await provideNatsServer()).start());
    const postgres = owned.use(await startTestPostgres());
    const { url, name } = await createDatabase(postgres.url);
    const first = await startTestControlPlane(url, { natsUrl: nats.url });
    await createTenant(first.client, 'acme');
    await first.stop();
    const copy = await createDatabase(postgres.url, { template: name });
    const { client } = owned.use(await startTestControlPlane(url, { natsUrl: nats.url }));
    const published = owned.use(await readPublishedStreams(nats.url, url));
    await client.routes.createRoute({ route: routeOf(keyOf('acme', 'of-the-lost-history')) });
    await client.routes.deleteRoute({ key: keyOf('acme', 'v4') });
    await move(client, 'acme', 'grpc://of-the-lost-history');
    const before = await published.untilEqual('acme');
    expect(before.meta?.position.revision).toBe(9);

    await restore(postgres.url, name, copy.name);
    const after = await published.untilEqual('acme');
    expect(after.meta?.position.revision).toBe(6);
    expect(after.meta?.epoch).not.toBe(before.meta?.epoch);
    // The same revisions again, of other changes.
    for (let write = 0; write < 5; write++) await move(client, 'acme', `grpc://of-the-new-history-${write}`);
    const later = await published.untilEqual('acme');
    expect(later.meta).toMatchObject({ epoch: after.meta?.epoch, position: { revision: 11 } });
  });
});

describe('a control plane', () => {
  let nats: TestNats;
  let postgres: TestPostgres;
  const owned = new AsyncDisposableStack();
  beforeAll(async () => {
    nats = owned.use(await (await provideNatsServer()).start());
    postgres = owned.use(await startTestPostgres());
  });
  afterAll(async () => await owned.disposeAsync());

  async function begin(owner: AsyncDisposableStack, config: Parameters<typeof startTestControlPlane>[1] = {}) {
    const { url } = await createDatabase(postgres.url);
    const start = async () => await startTestControlPlane(url, { natsUrl: nats.url, ...config });
    const controlPlane = owner.use(await start());
    return { url, start, controlPlane, client: controlPlane.client };
  }

  test('that starts while NATS is down serves, and publishes everything when it comes up', async () => {
    await using owner = new AsyncDisposableStack();
    await nats.stop();
    const { url, client } = await begin(owner);
    await client.tenants.createTenant({ tenant: message(Tenant, { tenant: 'early' }) });
    const { changeStream } = await client.changeStreams.getChangeStream({ tenant: 'early' });
    expect(changeStream).toMatchObject({ epoch: '', publishedRevision: 0n, revision: 1n, lag: 1n });
    await nats.start();
    const published = owner.use(await readPublishedStreams(nats.url, url));
    await published.untilEqual('early');
  });

  test('publishes again when Postgres was killed and is back', async () => {
    await using owner = new AsyncDisposableStack();
    const { url, client } = await begin(owner);
    await client.tenants.createTenant({ tenant: message(Tenant, { tenant: 'crash' }) });
    const published = owner.use(await readPublishedStreams(nats.url, url));
    const before = await published.untilEqual('crash');
    await postgres.crash();
    await postgres.start();
    await client.routes.createRoute({ route: routeOf(keyOf('crash')), requestId: 'after-the-crash' });
    const after = await published.untilEqual('crash');
    expect(after.meta?.epoch).toBe(before.meta?.epoch);
  });

  test('notices after its own restart that a stream was rolled back meanwhile', async () => {
    await using owner = new AsyncDisposableStack();
    const { url, start, controlPlane, client } = await begin(owner);
    await client.tenants.createTenant({ tenant: message(Tenant, { tenant: 'meanwhile' }) });
    await client.routes.createRoute({ route: routeOf(keyOf('meanwhile', 'v0')) });
    const published = owner.use(await readPublishedStreams(nats.url, url));
    await published.untilEqual('meanwhile');
    await nats.stop();
    const copy = await nats.copyStore();
    await nats.start();
    for (let version = 1; version < 9; version++)
      await client.routes.createRoute({ route: routeOf(keyOf('meanwhile', `v${version}`)) });
    const before = await published.untilEqual('meanwhile');
    await controlPlane.stop();
    await nats.stop();
    await nats.restoreStore(copy);
    await nats.start();
    owner.use(await start());
    const after = await published.untilEqual('meanwhile');
    expect(after.meta?.epoch).not.toBe(before.meta?.epoch);
  });

  test('removes tombstones when their time is over, and says so before', async () => {
    await using owner = new AsyncDisposableStack();
    const { url, client } = await begin(owner, { tombstoneHours: 0, reconcileMinutes: 1 / 600 });
    await client.tenants.createTenant({ tenant: message(Tenant, { tenant: 'tombs' }) });
    for (const version of ['v1', 'v2', 'v3'])
      await client.routes.createRoute({ route: routeOf(keyOf('tombs', version)) });
    const published = owner.use(await readPublishedStreams(nats.url, url));
    const before = await published.untilEqual('tombs');
    await client.routes.deleteRoute({ key: keyOf('tombs', 'v2') });
    let head = await published.untilEqual('tombs');
    // First the meta says what will go, then that goes, and then the meta says how much is left.
    while (head.meta?.subjectCount !== 2) head = await published.untilEqual('tombs');
    expect(head.meta).toMatchObject({
      epoch: before.meta?.epoch,
      purgedRevision: 5,
      subjectCount: 2,
      resourceCount: 2,
    });
    // What was deleted can come back.
    await client.routes.undeleteRoute({ key: keyOf('tombs', 'v2') });
    await published.untilEqual('tombs');
    expect(await published.entries('tombs')).toHaveLength(3);
  });

  test('publishes a tenant that is deleted as such, and answers that it is not there', async () => {
    await using owner = new AsyncDisposableStack();
    const { url, client } = await begin(owner);
    await client.tenants.createTenant({ tenant: message(Tenant, { tenant: 'leaves' }) });
    const published = owner.use(await readPublishedStreams(nats.url, url));
    await published.untilEqual('leaves');
    await client.tenants.deleteTenant({ tenant: 'leaves' });
    const { meta } = await published.untilEqual('leaves');
    expect(meta?.tenant.state).toBe('DELETED');
  });
});
