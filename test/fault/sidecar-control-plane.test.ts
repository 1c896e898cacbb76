import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { controlPlaneGuard } from '../../sidecar/limits.ts';
import { createServiceClient } from '../../src/client/service-client.ts';
import { CircuitBreakerState, SidecarServiceService } from '../../src/gen/trafficmanager/v1/sidecar_service.ts';
import { startFakeControlPlane, type FakeControlPlane } from '../fakes/fake-control-plane.ts';
import { startTestSidecar, type TestSidecar } from '../support/sidecar.ts';

// The breaker is opossum's and the network is real, so these wait for real seconds; what they wait for are answers, not times.

const memory = 1;
const { CIRCUIT_BREAKER_STATE_CLOSED: closed, CIRCUIT_BREAKER_STATE_OPEN: open } = CircuitBreakerState;
const { perCall, savedMax } = controlPlaneGuard.retryBudget;

let started: AsyncDisposableStack;
let controlPlane: FakeControlPlane;
beforeEach(async () => {
  started = new AsyncDisposableStack();
  controlPlane = started.use(await startFakeControlPlane());
});
afterEach(async () => await started.disposeAsync());

/** Holds `cart`, and nothing else. */
async function startSidecar(asked = controlPlane.address): Promise<TestSidecar> {
  const sidecar = started.use(
    await startTestSidecar({
      source: `grpc://${controlPlane.address}`,
      controlPlane: asked,
      scope: { tenants: ['acme'], onDemand: false, services: new Set(['cart']) },
    }),
  );
  await sidecar.untilResolved({ version: 'v1' }, ({ freshness }) => freshness?.source === memory);
  return sidecar;
}

async function breakerOf({ client }: TestSidecar): Promise<CircuitBreakerState | undefined> {
  const { getStatus } = createServiceClient(client.transport, SidecarServiceService);
  return (await getStatus({})).circuitBreakers[0]?.breakerState;
}

let services = 0;
/** Looks up what nobody has looked up yet: 'answered', or the reason why not. */
async function miss(sidecar: TestSidecar): Promise<string> {
  return await sidecar.resolve({ service: `other-${++services}`, version: 'v1' }).then(
    () => 'answered',
    (error: unknown) => String((error as { reason?: unknown }).reason),
  );
}

/** Misses one after the other until one is as wanted. */
async function missUntil(sidecar: TestSidecar, wanted: string): Promise<void> {
  while ((await miss(sidecar)) !== wanted);
}

async function expectHeld(sidecar: TestSidecar): Promise<void> {
  const answers = await Promise.all(Array.from({ length: 100 }, async () => await sidecar.resolve({ version: 'v1' })));
  for (const { freshness } of answers) expect(freshness).toMatchObject({ source: memory, stale: false });
}

test('a control plane that refuses: few calls reach it, the breaker opens, held routes are answered, and it closes again', async () => {
  const sidecar = await startSidecar();
  expect(await miss(sidecar)).toBe('answered');
  const before = controlPlane.lookups;
  controlPlane.conduct = 'refuses';
  const misses = 200;
  for (let count = 0; count < misses; count++) expect(await miss(sidecar)).toBe('CONTROL_PLANE_UNAVAILABLE');
  expect(await breakerOf(sidecar)).toBe(open);
  const reached = controlPlane.lookups - before;
  // More than half of the calls in the window must fail, of ten at least; retries are among them, of a budget.
  expect(reached).toBeGreaterThanOrEqual(controlPlaneGuard.volumeMin - 1);
  expect(reached).toBeLessThanOrEqual(controlPlaneGuard.volumeMin + controlPlaneGuard.retriesMax);
  await expectHeld(sidecar);
  controlPlane.conduct = 'answers';
  await missUntil(sidecar, 'answered');
  expect(await breakerOf(sidecar)).toBe(closed);
});

test('retries stay inside their budget, as counted by the one who gets them', async () => {
  const sidecar = await startSidecar();
  // Enough successes around each failure that the breaker stays closed.
  let firsts = 0;
  const before = controlPlane.lookups;
  for (let round = 0; round < 60; round++) {
    controlPlane.conduct = 'answers';
    for (let count = 0; count < 5; count++) expect(await miss(sidecar)).toBe('answered');
    controlPlane.conduct = 'refuses';
    expect(await miss(sidecar)).toBe('CONTROL_PLANE_UNAVAILABLE');
    firsts += 6;
  }
  expect(await breakerOf(sidecar)).toBe(closed);
  const retries = controlPlane.lookups - before - firsts;
  expect(retries).toBeGreaterThan(0);
  expect(retries).toBeLessThanOrEqual(savedMax + perCall * firsts);
});

test('a control plane that hangs: held routes are answered meanwhile, callers are told in time, and the breaker opens', async () => {
  const sidecar = await startSidecar();
  controlPlane.conduct = 'hangs';
  const hanging = Array.from({ length: 50 }, async () => await miss(sidecar));
  await expectHeld(sidecar);
  expect(new Set(await Promise.all(hanging))).toEqual(new Set(['CONTROL_PLANE_UNAVAILABLE']));
  // Open, or trying again already: the last of them took two seconds.
  expect(await breakerOf(sidecar)).not.toBe(closed);
  await expectHeld(sidecar);
  controlPlane.conduct = 'answers';
  await missUntil(sidecar, 'answered');
});

test('a control plane that takes connections and says nothing: held routes are answered, and the rest fails in time', async () => {
  const sockets: Socket[] = [];
  const mute = createServer((socket) => void sockets.push(socket.on('error', () => {})));
  mute.listen(0, '127.0.0.1');
  await once(mute, 'listening');
  started.defer(() => {
    for (const socket of sockets) socket.destroy();
    mute.close();
  });
  const { port } = mute.address() as { port: number };
  const sidecar = await startSidecar(`127.0.0.1:${port}`);
  const hanging = Array.from({ length: 20 }, async () => await miss(sidecar));
  await expectHeld(sidecar);
  expect(new Set(await Promise.all(hanging))).toEqual(new Set(['CONTROL_PLANE_UNAVAILABLE']));
  await expectHeld(sidecar);
});

test('a control plane that goes and comes: the breaker opens and closes with it, and nothing that is there is said not to be', async () => {
  const sidecar = await startSidecar();
  for (let round = 0; round < 3; round++) {
    controlPlane.conduct = 'refuses';
    while ((await breakerOf(sidecar)) !== open) expect(await miss(sidecar)).toBe('CONTROL_PLANE_UNAVAILABLE');
    await expectHeld(sidecar);
    controlPlane.conduct = 'answers';
    while ((await breakerOf(sidecar)) !== closed)
      expect(['answered', 'CONTROL_PLANE_UNAVAILABLE']).toContain(await miss(sidecar));
    expect(await miss(sidecar)).toBe('answered');
  }
});
