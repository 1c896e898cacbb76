import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { createServiceClient } from '../../src/client/service-client.ts';
import {
  CircuitBreakerState,
  SidecarServiceService,
  SynchronizationState,
} from '../../src/gen/trafficmanager/v1/sidecar_service.ts';
import { startTestControlPlane } from '../support/control-plane.ts';
import { createDatabase } from '../support/postgres.ts';
import { putRoute, putTenant, startTestSidecar } from '../support/sidecar.ts';

let started: AsyncDisposableStack;
beforeEach(() => {
  started = new AsyncDisposableStack();
});
afterEach(async () => await started.disposeAsync());

test('a sidecar tells what it follows, how fresh it is, what it holds and what it was asked', async () => {
  const database = started.use(await createDatabase(inject('postgresUrl')));
  const controlPlane = started.use(await startTestControlPlane(database.url));
  await putTenant(controlPlane.client);
  await putRoute(controlPlane.client, { service: 'other', version: 'v1' });
  const revision = await putRoute(controlPlane.client, { version: 'v1' });
  const sidecar = started.use(
    await startTestSidecar({
      source: `grpc://${controlPlane.address}`,
      scope: { tenants: ['acme'], onDemand: true, services: new Set(['cart']) },
      memoryBytesMax: 5_000_000,
    }),
  );
  const { getStatus } = createServiceClient(sidecar.client.transport, SidecarServiceService);
  await sidecar.untilResolved({ version: 'v1' }, ({ freshness }) => freshness?.revision === revision);
  for (let lookups = 0; lookups < 3; lookups++) await sidecar.resolve({ service: 'other', version: 'v1' });
  await sidecar.resolve({ service: 'nothing', version: 'v1' }).catch(() => undefined);

  const status = await getStatus({});
  expect(status).toMatchObject({
    scope: { tenants: ['acme'], onDemand: true, services: ['cart'] },
    sourceUrl: `grpc://${controlPlane.address}`,
    tenants: [
      {
        tenant: 'acme',
        synchronizationState: SynchronizationState.SYNCHRONIZATION_STATE_LIVE,
        revision,
        complete: true,
        groups: 1n,
      },
    ],
    memory: { bytesMax: 5_000_000n, groups: 1n, evictions: 0n },
    answers: { count: 2n, hits: 2n, misses: 2n },
    circuitBreakers: [{ upstream: 'control-plane', breakerState: CircuitBreakerState.CIRCUIT_BREAKER_STATE_CLOSED }],
    admission: { waiting: 0n, shed: 0n },
  });
  expect(status.memory?.residentBytes).toBeGreaterThan(10_000_000n);
  expect((await getStatus({ tenant: 'globex' })).tenants).toEqual([]);
  await controlPlane.stop();
  await sidecar.untilResolved({ version: 'v1' }, ({ freshness }) => freshness?.stale === true);
  const [stale] = (await getStatus({ tenant: 'acme' })).tenants;
  expect(stale?.synchronizationState).toBe(SynchronizationState.SYNCHRONIZATION_STATE_STALE);
  expect(stale?.reason).not.toBe('');
});
