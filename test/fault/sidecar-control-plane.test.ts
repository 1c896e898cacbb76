import { afterEach, beforeEach, expect, test } from 'vitest';
import { controlPlaneGuard } from '../../sidecar/limits.ts';
import { createServiceClient } from '../../src/client/service-client.ts';
import { CircuitBreakerState, SidecarServiceService } from '../../src/gen/trafficmanager/v1/sidecar_service.ts';
import { startFakeControlPlane, type FakeControlPlane } from '../fakes/fake-control-plane.ts';
import { startTestSidecar, type TestSidecar } from '../support/sidecar.ts';
import { TcpProxy } from '../support/stream-faults/tcp-proxy.ts';

// The breaker is opossum's and the network is real, so these wait for real seconds; what they wait for are answers, not times.

const memory = 1;
const {
  CIRCUIT_BREAKER_STATE_CLOSED: closed,
  CIRCUIT_BREAKER_STATE_OPEN: open,
  CIRCUIT_BREAKER_STATE_HALF_OPEN: halfOpen,
} = CircuitBreakerState;
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

/** What it was asked more than once, and all that it was asked, as it has counted. */
function retriesCounted(): { readonly retries: number; readonly firsts: number } {
  const firsts = controlPlane.attempts.size;
  return { firsts, retries: controlPlane.lookups - firsts };
}

function expectRetriesInBudget(): void {
  const { retries, firsts } = retriesCounted();
  expect(retries).toBeLessThanOrEqual(savedMax + perCall * firsts);
}

/** Open, it lets one call through now and then: the one that hangs is the only one. */
async function expectOneCallTried(sidecar: TestSidecar, tried: () => number): Promise<void> {
  const before = tried();
  const underWay: Promise<string>[] = [];
  while ((await breakerOf(sidecar)) !== halfOpen) underWay.push(miss(sidecar));
  underWay.push(miss(sidecar));
  await expect.poll(tried).toBe(before + 1);
  for (let count = 0; count < 20; count++) expect(await miss(sidecar)).toBe('CONTROL_PLANE_UNAVAILABLE');
  // Unless this machine stood still for longer than the call was waited for.
  if ((await breakerOf(sidecar)) === halfOpen) expect(tried()).toBe(before + 1);
  expect(new Set(await Promise.all(underWay))).toEqual(new Set(['CONTROL_PLANE_UNAVAILABLE']));
}

test('slow, a control plane is waited for: every miss is answered, asked for once, the breaker stays closed, held routes do not wait', async () => {
  const sidecar = await startSidecar();
  controlPlane.conduct = 'slow';
  const slow = Array.from({ length: 50 }, async () => await miss(sidecar));
  await expect.poll(() => controlPlane.lookups).toBeGreaterThan(0);
  const reached = controlPlane.lookups;
  await expectHeld(sidecar);
  // Of one tenant no more than its places: the others of its misses were still waiting.
  expect(reached).toBeLessThanOrEqual(controlPlaneGuard.perTenant.concurrentMax);
  expect(new Set(await Promise.all(slow))).toEqual(new Set(['answered']));
  expect(retriesCounted()).toEqual({ firsts: 50, retries: 0 });
  expect(await breakerOf(sidecar)).toBe(closed);
});

test('too slow, a control plane is left alone: callers are told in time, the breaker opens, tries one call at a time, and closes', async () => {
  const sidecar = await startSidecar();
  controlPlane.conduct = 'hangs';
  const hanging = Array.from({ length: 50 }, async () => await miss(sidecar));
  await expectHeld(sidecar);
  expect(new Set(await Promise.all(hanging))).toEqual(new Set(['CONTROL_PLANE_UNAVAILABLE']));
  expect(await breakerOf(sidecar)).not.toBe(closed);
  // What was taken and not answered is not asked for again.
  expect(retriesCounted().retries).toBe(0);
  expect(controlPlane.lookups).toBeLessThanOrEqual(2 * controlPlaneGuard.perTenant.concurrentMax);
  await expectOneCallTried(sidecar, () => controlPlane.lookups);
  await expectHeld(sidecar);
  controlPlane.conduct = 'answers';
  await missUntil(sidecar, 'answered');
  expect(await breakerOf(sidecar)).toBe(closed);
});

test('refusing, a control plane gets few calls: the breaker opens, held routes are answered, and it closes again', async () => {
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
  expect(retriesCounted().retries).toBeGreaterThan(0);
  expectRetriesInBudget();
  await expectHeld(sidecar);
  controlPlane.conduct = 'answers';
  await missUntil(sidecar, 'answered');
  expect(await breakerOf(sidecar)).toBe(closed);
});

test('retries stay inside their budget, as counted by the one who gets them', async () => {
  const sidecar = await startSidecar();
  // Enough successes around each failure that the breaker stays closed.
  for (let round = 0; round < 60; round++) {
    controlPlane.conduct = 'answers';
    for (let count = 0; count < 5; count++) expect(await miss(sidecar)).toBe('answered');
    controlPlane.conduct = 'refuses';
    expect(await miss(sidecar)).toBe('CONTROL_PLANE_UNAVAILABLE');
  }
  expect(await breakerOf(sidecar)).toBe(closed);
  expect(retriesCounted().firsts).toBe(360);
  // Each of the 60 would have been tried twice more.
  expect(retriesCounted().retries).toBeGreaterThan(savedMax);
  expectRetriesInBudget();
});

test('half-open, a connection that takes all and says nothing: held routes are answered, the breaker opens, and closes when it is mended', async () => {
  const [host = '', port = ''] = controlPlane.address.split(':');
  const proxy = started.use(await TcpProxy.start({ host, port: Number(port) }));
  const sidecar = await startSidecar(`127.0.0.1:${proxy.port}`);
  expect(await miss(sidecar)).toBe('answered');
  proxy.set({ kind: 'half_open' });
  const hanging = Array.from({ length: 50 }, async () => await miss(sidecar));
  await expectHeld(sidecar);
  expect(new Set(await Promise.all(hanging))).toEqual(new Set(['CONTROL_PLANE_UNAVAILABLE']));
  expect(await breakerOf(sidecar)).not.toBe(closed);
  expect(controlPlane.lookups).toBe(1);
  await expectHeld(sidecar);
  proxy.set({ kind: 'fair' });
  await missUntil(sidecar, 'answered');
  expect(await breakerOf(sidecar)).toBe(closed);
  expectRetriesInBudget();
});

test('half-open from the first call on, a control plane is nobody: held routes are answered, and the rest fails in time', async () => {
  const [host = '', port = ''] = controlPlane.address.split(':');
  const proxy = started.use(await TcpProxy.start({ host, port: Number(port) }));
  proxy.set({ kind: 'half_open' });
  const sidecar = await startSidecar(`127.0.0.1:${proxy.port}`);
  const hanging = Array.from({ length: 20 }, async () => await miss(sidecar));
  await expectHeld(sidecar);
  expect(new Set(await Promise.all(hanging))).toEqual(new Set(['CONTROL_PLANE_UNAVAILABLE']));
  expect(controlPlane.lookups).toBe(0);
  await expectHeld(sidecar);
});

test('flapping, a control plane is followed: the breaker opens and closes with it, and nothing that is there is said not to be', async () => {
  const sidecar = await startSidecar();
  for (let round = 0; round < 3; round++) {
    controlPlane.conduct = 'refuses';
    while ((await breakerOf(sidecar)) !== open) expect(await miss(sidecar)).toBe('CONTROL_PLANE_UNAVAILABLE');
    // Open, nothing reaches it until it may try again.
    const reached = controlPlane.lookups;
    for (let count = 0; count < 20; count++) expect(await miss(sidecar)).toBe('CONTROL_PLANE_UNAVAILABLE');
    // One that may have been tried meanwhile: this machine may stand still for longer than the breaker does.
    expect(controlPlane.lookups - reached).toBeLessThanOrEqual(1 + controlPlaneGuard.retriesMax);
    await expectHeld(sidecar);
    controlPlane.conduct = 'answers';
    while ((await breakerOf(sidecar)) !== closed)
      expect(['answered', 'CONTROL_PLANE_UNAVAILABLE']).toContain(await miss(sidecar));
    expect(await miss(sidecar)).toBe('answered');
    expectRetriesInBudget();
  }
});
