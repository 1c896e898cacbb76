import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { createServiceClient } from '../../src/client/service-client.ts';
import type { ResolveResponse, TrafficManagerClient } from '../../src/client/index.ts';
import { WatchServiceService } from '../../src/gen/trafficmanager/v1/watch_service.ts';
import { startTestControlPlane, type TestControlPlane } from '../support/control-plane.ts';
import { createDatabase } from '../support/postgres.ts';
import {
  endsSnapshot,
  putRoute,
  putTenant,
  startTestSidecar,
  takeUntil,
  type TestSidecar,
} from '../support/sidecar.ts';
import { TcpProxy } from '../support/stream-faults/tcp-proxy.ts';

const key = { version: 'v1' };

let started: AsyncDisposableStack;
let controlPlane: TestControlPlane;
let proxy: TcpProxy;

beforeEach(async () => {
  started = new AsyncDisposableStack();
  const database = started.use(await createDatabase(inject('postgresUrl')));
  controlPlane = started.use(await startTestControlPlane(database.url));
  const port = Number(controlPlane.address.split(':').at(-1));
  proxy = started.use(await TcpProxy.start({ host: '127.0.0.1', port }));
  await putTenant(controlPlane.client);
  await putRoute(controlPlane.client, key);
});
afterEach(async () => await started.disposeAsync());

async function startSidecar(services?: ReadonlySet<string>): Promise<TestSidecar> {
  const scope = { tenants: ['acme'], onDemand: false, ...(services && { services }) };
  const sidecar = started.use(await startTestSidecar({ source: `grpc://127.0.0.1:${proxy.port}`, scope }));
  await sidecar.untilResolved(key, () => true);
  return sidecar;
}

function stalenessMs({ freshness }: ResolveResponse): number {
  return Number(freshness?.stalenessMs ?? 0n);
}

/** Looks up until what was committed is there; what is answered before that must say at least how old it is. */
async function untilThere(
  sidecar: TestSidecar,
  url: string,
  { committedAtMs, onOld = () => {} }: { committedAtMs: number; onOld?: (answer: ResolveResponse) => void },
): Promise<void> {
  for (;;) {
    const askedAtMs = performance.now();
    const answer = await sidecar.resolve(key);
    if (answer.route?.endpoints[0]?.url === url) return;
    expect(stalenessMs(answer)).toBeGreaterThanOrEqual(askedAtMs - committedAtMs);
    onOld(answer);
  }
}

describe('what a sidecar says of its age is never less than it is', () => {
  test('on a network that takes its time', async () => {
    const sidecar = await startSidecar();
    // Longer than the progress interval: what was said before a change arrives after it was committed.
    proxy.set({ kind: 'delayed', delayMs: 1_200 });
    for (let round = 0; round < 5; round++) {
      const url = `grpc://round-${round}:1`;
      await putRoute(controlPlane.client, key, url);
      await untilThere(sidecar, url, { committedAtMs: performance.now() });
    }
    // And yet it is small: what it takes to ask, and to ask again.
    const calm = await sidecar.untilResolved(key, (answer) => stalenessMs(answer) < 5_000);
    expect(calm.freshness?.stale).toBe(false);
  });

  test('on a network that stands still, and then delivers all that it had kept', async () => {
    const sidecar = await startSidecar();
    for (let round = 0; round < 2; round++) {
      proxy.set({ kind: 'half_open' });
      const url = `grpc://frozen-${round}:1`;
      await putRoute(controlPlane.client, key, url);
      const committedAtMs = performance.now();
      const thaw = (): void => {
        if (performance.now() - committedAtMs > 1_500) proxy.set({ kind: 'fair' });
      };
      await untilThere(sidecar, url, { committedAtMs, onOld: thaw });
    }
    const calm = await sidecar.untilResolved(key, (answer) => stalenessMs(answer) < 1_000);
    expect(calm.freshness?.stale).toBe(false);
  });
});

test('a sidecar of a few services keeps up with changes of others, without taking its memory anew', async () => {
  const sidecar = await startSidecar(new Set(['cart']));
  const watch = sidecar.client.watch({ tenant: 'acme', services: ['cart'] });
  await takeUntil(watch, endsSnapshot);
  const outside = { service: 'search', version: 'v1' };
  for (let round = 0; round < 3; round++) {
    await putRoute(controlPlane.client, outside, `grpc://search-${round}:1`);
    const revision = await putRoute(controlPlane.client, key, `grpc://cart-${round}:1`);
    await takeUntil(watch, (message) => message.revision >= revision);
  }
  const last = await putRoute(controlPlane.client, outside, 'grpc://last:1');
  const told = await takeUntil(watch, ({ revision }) => revision === last);
  expect(told.at(-1)?.event?.$case).toBe('progress');
  const answer = await sidecar.untilResolved(key, ({ freshness }) => freshness?.revision === last);
  expect(answer).toMatchObject({ route: { endpoints: [{ url: 'grpc://cart-2:1' }] }, freshness: { stale: false } });
});

function positionOf({ transport }: TrafficManagerClient, tenant: string) {
  return createServiceClient(transport, WatchServiceService).getPosition({ tenant });
}

describe('where a tenant is', () => {
  test('a control plane and a sidecar say alike, of a deleted tenant too', async () => {
    const sidecar = await startSidecar(new Set(['cart']));
    const everybody = [controlPlane.client, sidecar.client];
    for (const client of everybody) expect(await positionOf(client, 'acme')).toMatchObject({ revision: 2n });
    const [before] = await Promise.all(everybody.map((client) => positionOf(client, 'acme')));
    expect(before?.commitId).not.toBe('');
    await controlPlane.client.tenants.deleteTenant({ tenant: 'acme' });
    expect(await positionOf(controlPlane.client, 'acme')).toMatchObject({ revision: 3n });
    for (;;) if ((await positionOf(sidecar.client, 'acme')).revision === 3n) break;
  });

  test('nobody knows it of a tenant that never was', async () => {
    await expect(positionOf(controlPlane.client, 'nobody')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      reason: 'TENANT_NOT_FOUND',
    });
    const sidecar = await startSidecar();
    await expect(positionOf(sidecar.client, 'nobody')).rejects.toMatchObject({ reason: 'SNAPSHOT_NOT_READY' });
  });
});
