import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import type { ResolveResponse } from '../../src/client/index.ts';
import { startTestControlPlane, type TestControlPlane } from '../support/control-plane.ts';
import { provideNatsServer, type TestNats } from '../support/nats.ts';
import { createDatabase } from '../support/postgres.ts';
import { keyOf, putPolicy, putRoute, putTenant, startTestSidecar, type TestSidecar } from '../support/sidecar.ts';

const key = { version: 'v1' };
const isStale = ({ freshness }: ResolveResponse): boolean => freshness?.stale === true;
const isLive = ({ freshness }: ResolveResponse): boolean => freshness?.stale === false;
const leadsTo =
  (url: string) =>
  ({ route }: ResolveResponse): boolean =>
    route?.endpoints[0]?.url === url;

let started: AsyncDisposableStack;
let databaseUrl: string;
let nats: TestNats;

beforeEach(async () => {
  started = new AsyncDisposableStack();
  nats = started.use(await (await provideNatsServer()).start());
  databaseUrl = started.use(await createDatabase(inject('postgresUrl'))).url;
});
afterEach(async () => await started.disposeAsync());

async function startControlPlane(): Promise<TestControlPlane> {
  return started.use(await startTestControlPlane(databaseUrl, { natsUrl: nats.url }));
}

/** Its control plane is nowhere: whatever it answers, it has from the stream. */
async function startSidecar(tenants: readonly string[] = ['acme']): Promise<TestSidecar> {
  const config = { source: nats.url, controlPlane: '127.0.0.1:1', scope: { tenants, onDemand: true } };
  return started.use(await startTestSidecar(config));
}

describe('a sidecar on the change stream', () => {
  test('it hears changes as they commit, and is as fresh as the relay answers', async () => {
    const controlPlane = await startControlPlane();
    await putTenant(controlPlane.client);
    await putRoute(controlPlane.client, key, 'grpc://first:1');
    const sidecar = await startSidecar();
    await sidecar.untilResolved(key, (answer) => leadsTo('grpc://first:1')(answer) && isLive(answer));
    await putRoute(controlPlane.client, key, 'grpc://second:1');
    await sidecar.untilResolved(key, leadsTo('grpc://second:1'));
    await putRoute(controlPlane.client, { version: 'v2' }, 'grpc://other:1');
    await putPolicy(controlPlane.client, {}, { defaultVersion: 'v2' });
    await sidecar.untilResolved({}, leadsTo('grpc://other:1'));
    sidecar.clock.advance(60_000);
    const fresh = await sidecar.untilResolved(key, ({ freshness }) => (freshness?.stalenessMs ?? 60_000n) < 10_000n);
    expect(fresh.freshness).toMatchObject({ stale: false });
  });

  test('it boots from NATS alone, and says that nobody knows how old that is', async () => {
    const controlPlane = await startControlPlane();
    await putTenant(controlPlane.client);
    const before = await startSidecar();
    const revision = await putRoute(controlPlane.client, key, 'grpc://last:1');
    await before.untilRevision('acme', revision);
    await controlPlane.stop();
    const sidecar = await startSidecar();
    const answer = await sidecar.untilResolved(key, () => true);
    expect(answer.route?.endpoints[0]?.url).toBe('grpc://last:1');
    expect(answer.freshness).toMatchObject({ stale: true, revision });
    const again = await startControlPlane();
    await sidecar.untilResolved(key, isLive);
    await putRoute(again.client, key, 'grpc://again:1');
    await sidecar.untilResolved(key, leadsTo('grpc://again:1'));
  });

  test('a NATS server that is killed, and one whose store is wiped, leave it stale and then up to date', async () => {
    const controlPlane = await startControlPlane();
    await putTenant(controlPlane.client);
    await putRoute(controlPlane.client, key, 'grpc://before:1');
    const sidecar = await startSidecar();
    await sidecar.untilResolved(key, isLive);
    for (const url of ['grpc://killed:1', 'grpc://wiped:1']) {
      await nats.crash();
      if (url === 'grpc://wiped:1') await nats.wipe();
      await sidecar.untilResolved(key, isStale);
      await putRoute(controlPlane.client, key, url);
      await nats.start();
      const healed = await sidecar.untilResolved(key, (answer) => leadsTo(url)(answer) && isLive(answer));
      expect(healed.freshness?.revision).toBeGreaterThan(1n);
    }
  });

  test('a tenant that is deleted while it looks away is deleted for it too', async () => {
    const controlPlane = await startControlPlane();
    await putTenant(controlPlane.client);
    await putRoute(controlPlane.client, key);
    const sidecar = await startSidecar();
    await sidecar.untilResolved(key, isLive);
    await nats.stop();
    await sidecar.untilResolved(key, isStale);
    const { tenant } = keyOf();
    await controlPlane.client.tenants.deleteTenant({ tenant });
    await nats.start();
    const lost = async (): Promise<unknown> => await sidecar.resolve(key).then(() => undefined, String);
    while ((await lost()) === undefined);
    expect(await lost()).toContain('acme');
  });
});
