import fc from 'fast-check';
import { expect, it } from 'vitest';
import { bindWireService } from '../../sidecar/front/wire-service.ts';
import { ByteBudget } from '../../sidecar/wire/byte-budget.ts';
import { frameFlags, frameTypes } from '../../sidecar/wire/frame.ts';
import { GrpcAcceptor } from '../../sidecar/wire/grpc/grpc-acceptor.ts';
import { sentFrameBytesMax, wireLimits } from '../../sidecar/wire/limits.ts';
import { ResolverServiceService } from '../../src/gen/trafficmanager/v1/resolver_service.ts';
import { frameOf } from '../../src/platform/grpc/frame.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { serviceOptions } from '../../src/serving/service-options.ts';
import { FakeAlarmClock } from '../fakes/fake-alarm-clock.ts';
import { answerAtOnce } from '../support/answer-at-once.ts';
import { frame, uint32 } from '../support/sidecar-wire/frames.ts';
import { RawPeer, requestFields } from '../support/sidecar-wire/raw-peer.ts';

const { DATA, HEADERS, WINDOW_UPDATE } = frameTypes;

/** Nothing, small, as large as a frame or nearly, and cut into many. */
const answerBytes = fc.oneof(
  fc.nat({ max: 3_000 }),
  fc.integer({ min: sentFrameBytesMax - 10, max: sentFrameBytesMax + 5 }),
  fc.nat({ max: 100_000 }),
);
const step = fc.record({
  does: fc.constantFrom('call', 'call', 'call', 'stop reading', 'read on', 'open the window of all', 'open one'),
  bytes: answerBytes,
  waits: fc.boolean(),
});
const setting = fc.record({
  connections: fc.constantFrom(1, 300, 700, 1_500, 2_048),
  windowBytes: fc.constantFrom(0, 100, 65_535, 1_000_000),
  steps: fc.array(step, { maxLength: 60, size: 'max' }),
});

/** What the call on a stream is answered with: no other call's bytes look like it. */
const answerTo = (request: string): Buffer => Buffer.alloc(Number(request.split(':')[1]), `${request};`);

function start(connections: number, windowBytes: number): RawPeer {
  const clock = new FakeAlarmClock();
  const options = serviceOptions({ logger: createLogger('test', 'silent'), draining: new AbortController().signal });
  const unasked = { resolve: async () => Buffer.alloc(0), batchResolve: async () => Buffer.alloc(0) };
  const methods = bindWireService(
    ResolverServiceService,
    { ...unasked, streamResolve: async () => {} },
    {
      ...options,
      clock,
      instants: { resolve: (request, place) => answerAtOnce(place, answerTo(request.toString('latin1'))) },
    },
  );
  const acceptor = new GrpcAcceptor({ methods, passOn: undefined, clock, messageBytesMax: 100, backlogBytes: 65_536 });
  const budget = new ByteBudget(wireLimits.heldBytesMaxOfAll);
  for (let count = 1; count < connections; count++) budget.join();
  return new RawPeer({ acceptor, budget, settings: [[4, windowBytes]] });
}

it('sends the answers of instants whole, however they are read and however many connections share their memory', async () => {
  await fc.assert(
    fc.asyncProperty(setting, async ({ connections, windowBytes, steps }) => {
      const peer = start(connections, windowBytes);
      const requests = new Map<number, string>();
      const open = (id: number, bytes: number): void => peer.send(frame(WINDOW_UPDATE, 0, id, uint32(bytes)));
      for (const { does, bytes, waits } of steps) {
        const id = 2 * requests.size + 1;
        if (does === 'call') {
          requests.set(id, `${id}:${bytes}`);
          peer.headers(id, requestFields(ResolverServiceService.resolve.path, ['content-type', 'application/grpc']));
          peer.data(id, frameOf(Buffer.from(`${id}:${bytes}`)));
        } else if (does === 'stop reading') peer.stopReading();
        else if (does === 'read on') peer.readOn();
        else if (does === 'open the window of all') open(0, bytes + 1);
        else if (id > 1) open(id - 2, bytes + 1);
        if (waits) await new Promise(setImmediate);
      }
      for (const id of [0, ...requests.keys()]) open(id, 10_000_000);
      peer.readOn();
      const hasEnded = (id: number): boolean =>
        peer.frames.some(
          ({ type, flags, streamId }) => type === HEADERS && streamId === id && (flags & frameFlags.END_STREAM) !== 0,
        );
      await peer.until(() => [...requests.keys()].every(hasEnded));
      for (const [id, request] of requests)
        expect(peer.bodyOf(id) === frameOf(answerTo(request)).toString('latin1')).toBe(true);
      const pieces = peer.frames.filter(({ type }) => type === DATA);
      expect(Math.max(0, ...pieces.map(({ payload }) => payload.length))).toBeLessThanOrEqual(sentFrameBytesMax);
      peer.destroy();
      await peer.untilClosed();
    }),
    { numRuns: 100, seed: 20_261_123 },
  );
});
