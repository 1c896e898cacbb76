import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sidecarRuntime } from '../../deploy/embedded/sidecar-runtime.ts';
import { frontKinds } from '../../sidecar/front/front.ts';
import { sidecarLimits } from '../../sidecar/limits.ts';
import { createClient, message, ResolveRequest, type TrafficManagerClient } from '../../src/client/index.ts';
import { createServiceClient } from '../../src/client/service-client.ts';
import { BatchResolveRequest, ResolverServiceService } from '../../src/gen/trafficmanager/v1/resolver_service.ts';
import { SidecarServiceService } from '../../src/gen/trafficmanager/v1/sidecar_service.ts';
import { frameOf } from '../../src/platform/grpc/frame.ts';
import { startFakeControlPlane } from '../fakes/fake-control-plane.ts';
import { connectRaw, type RawEnd } from '../support/raw-calls.ts';
import { startProcess } from '../support/sidecar-process.ts';
import { keyOf, lookupsOf } from '../support/sidecar.ts';

/** See `limits.ts`: what calls and waiting lookups take, and as much again for a collector that is behind. */
const overloadBytes =
  2 * (sidecarLimits.front.streams.streamsMax * 9_000 + sidecarLimits.admission.waitingMax * 10_000);

let started: AsyncDisposableStack;
beforeEach(() => {
  started = new AsyncDisposableStack();
});
afterEach(async () => await started.disposeAsync());

/** A sidecar process that holds `cart`; others ask it over a connection of their own, again and again. */
async function startSidecar(front: string) {
  const controlPlane = started.use(await startFakeControlPlane());
  const sidecar = started.use(
    await startProcess('sidecar', {
      TM_SIDECAR_ADDRESS: '127.0.0.1:0',
      TM_SIDECAR_WIRE: front,
      TM_SIDECAR_SOURCE: `grpc://${controlPlane.address}`,
      TM_SIDECAR_TENANTS: 'acme',
      ...sidecarRuntime,
    }),
  );
  const [address = ''] = sidecar.addresses;
  const other = started.use(createClient({ address, defaults: { timeoutMs: 60_000 } }));
  await lookupsOf(other).untilResolved({ version: 'v1' }, () => true);
  controlPlane.conduct = 'hangs';
  return { address, other };
}

async function statusOf(
  client: TrafficManagerClient,
): Promise<{ residentBytes: number; waiting: number; shed: number }> {
  const { memory, admission } = await createServiceClient(client.transport, SidecarServiceService).getStatus({});
  return {
    residentBytes: Number(memory?.residentBytes),
    waiting: Number(admission?.waiting),
    shed: Number(admission?.shed),
  };
}

/** Looks up and reads memory until told to stop: how many lookups were answered, and the most that it saw. */
function watchFrom(other: TrafficManagerClient) {
  const stopping = new AbortController();
  const seen = { answered: 0, residentBytesMax: 0 };
  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const answer = await lookupsOf(other).resolve({ version: 'v1' });
      if (answer.freshness?.source === 1) seen.answered++;
      seen.residentBytesMax = Math.max(seen.residentBytesMax, (await statusOf(other)).residentBytes);
    }
  };
  const running = run();
  return {
    stop: async () => {
      stopping.abort();
      await running;
      return seen;
    },
  };
}

describe.each(frontKinds)('a sidecar on %s that is offered more than it takes', (front) => {
  test('refuses lookups that would wait beyond its bound, says when to come again, and answers others meanwhile', async () => {
    const { address, other } = await startSidecar(front);
    const before = await statusOf(other);
    const offered = 10 * sidecarLimits.admission.waitingMax;
    const refused = offered - sidecarLimits.admission.waitingPerTenantMax;
    const raw = started.use(await connectRaw(address, 2));
    const request = ResolveRequest.encode(
      message(ResolveRequest, {
        key: keyOf({ version: 'v1' }),
        consistency: { requirement: { $case: 'minRevision', value: 999n } },
      }),
    ).finish();
    const watching = watchFrom(other);
    const ends = new Map<string, number>();
    const all = Promise.withResolvers<void>();
    let ended = 0;
    const count = (end: RawEnd): void => {
      const key = JSON.stringify(end);
      ends.set(key, (ends.get(key) ?? 0) + 1);
      if (++ended === refused) all.resolve();
    };
    for (let index = 0; index < offered; index++) {
      void raw.call(index, ResolverServiceService.resolve.path, request).then(count);
      // The test's own memory is bounded too.
      if (index % 1_000 === 0) await setImmediate();
    }
    await all.promise;
    const { answered, residentBytesMax } = await watching.stop();
    expect(Object.fromEntries(ends)).toEqual({
      [JSON.stringify({ kind: 'status', code: status.RESOURCE_EXHAUSTED, reason: 'OVERLOADED', retries: true })]:
        refused,
    });
    expect(await statusOf(other)).toMatchObject({
      waiting: sidecarLimits.admission.waitingPerTenantMax,
      shed: refused,
    });
    expect(answered).toBeGreaterThan(0);
    expect(residentBytesMax - before.residentBytes).toBeLessThan(overloadBytes);
  });

  test('holds up streams whose callers ask and do not read, and answers others meanwhile', async () => {
    const { address, other } = await startSidecar(front);
    const before = await statusOf(other);
    const connections = 10;
    const raw = started.use(await connectRaw(address, connections));
    const requests = Array.from({ length: 100 }, () => message(ResolveRequest, { key: keyOf({ version: 'v1' }) }));
    const batch = frameOf(BatchResolveRequest.encode({ requests }).finish());
    const streams = Array.from({ length: 100 }, (_none, index) =>
      raw.open(index, ResolverServiceService.streamResolve.path),
    );
    const watching = watchFrom(other);
    // 800 KB of questions each, for 4 MB of answers.
    for (const stream of streams) for (let sent = 0; sent < 200; sent++) stream.write(batch);
    const left = (): readonly number[] => streams.map(({ writableLength }) => writableLength);
    const sum = (): number => left().reduce((total, bytes) => total + bytes, 0);
    for (let before = -1; before !== sum();) {
      before = sum();
      // As many turns of the sidecar as others get answers meanwhile.
      for (let turn = 0; turn < 20; turn++) await lookupsOf(other).resolve({ version: 'v1' });
    }
    const { answered, residentBytesMax } = await watching.stop();
    expect(Math.min(...left())).toBeGreaterThan(0);
    expect(answered).toBeGreaterThan(0);
    expect(residentBytesMax - before.residentBytes).toBeLessThan(overloadBytes);
    // Once they are read they go on where they were: all of one connection, for they share its window.
    const read = streams.filter((_stream, index) => index % connections === 0);
    for (const stream of read) stream.resume();
    await Promise.all(read.map((stream) => once(stream, 'drain')));
  });
});
