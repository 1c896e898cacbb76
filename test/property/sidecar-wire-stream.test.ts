import fc from 'fast-check';
import { expect, it } from 'vitest';
import { bindWireService } from '../../sidecar/front/wire-service.ts';
import { frameFlags, frameTypes } from '../../sidecar/wire/frame.ts';
import { GrpcAcceptor } from '../../sidecar/wire/grpc/grpc-acceptor.ts';
import { BatchResolveRequest, ResolverServiceService } from '../../src/gen/trafficmanager/v1/resolver_service.ts';
import { frameOf } from '../../src/platform/grpc/frame.ts';
import type { Instant } from '../../src/platform/grpc/handlers.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { serviceOptions } from '../../src/serving/service-options.ts';
import { FakeAlarmClock } from '../fakes/fake-alarm-clock.ts';
import { answerAtOnce } from '../support/answer-at-once.ts';
import { frame, uint32 } from '../support/sidecar-wire/frames.ts';
import { RawPeer, requestFields } from '../support/sidecar-wire/raw-peer.ts';

/** What answers a message: an instant, an instant that leaves some to the handler, or the handler, after so many turns of the loop. */
const message = fc.record({ by: fc.constantFrom('instant', 'instant', 'begun', 'handler'), turns: fc.nat(3) });
const answerBytes = 40;

function requestOf(text: string): Buffer {
  const key = { tenant: 'acme', service: text, environment: 'production', version: '' };
  const lookup = { key, hashKey: '', attributes: {}, method: '', consistency: undefined };
  return Buffer.from(BatchResolveRequest.encode({ requests: [lookup] }).finish());
}

const answerTo = (text: string): Buffer => Buffer.from(text.padEnd(answerBytes, '.'));
const textIn = (request: Buffer): string => BatchResolveRequest.decode(request).requests[0]?.key?.service ?? '';

function start({ windowBytes, draining = new AbortController() }: { windowBytes: number; draining?: AbortController }) {
  let asked = 0;
  const instant: Instant = (request, place) => {
    asked++;
    const text = textIn(request);
    if (text.startsWith('instant')) return answerAtOnce(place, answerTo(text));
    if (!text.startsWith('begun')) return undefined;
    return { rest: Buffer.from(request), complete: (response) => Buffer.concat([response]), release: () => {} };
  };
  const clock = new FakeAlarmClock();
  const methods = bindWireService(
    ResolverServiceService,
    {
      resolve: async () => Buffer.alloc(0),
      batchResolve: async () => ({ results: [] }),
      streamResolve: async (messages, writer) => {
        for await (const { requests } of messages) {
          const text = requests[0]?.key?.service ?? '';
          for (let turn = Number(text.split('-')[2]); turn > 0; turn--) await nextTurn();
          await writer.write(answerTo(text));
        }
      },
    },
    {
      ...serviceOptions({ logger: createLogger('test', 'silent'), draining: draining.signal }),
      clock,
      instants: { streamResolve: instant },
    },
  );
  const acceptor = new GrpcAcceptor({ methods, passOn: undefined, clock, messageBytesMax: 10_000, backlogBytes: 200 });
  const peer = new RawPeer({ acceptor, settings: [[4, windowBytes]] });
  peer.headers(1, requestFields(ResolverServiceService.streamResolve.path, ['content-type', 'application/grpc']));
  return { peer, askedCount: () => asked };
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

const hasEnded = (peer: RawPeer): boolean =>
  peer.frames.some(({ type, flags }) => type === frameTypes.HEADERS && (flags & frameFlags.END_STREAM) !== 0);

it('answers the messages of a stream in their order, whoever answers, wherever they are cut, however slowly they are read', async () => {
  const share = fc.double({ min: 0, max: 1, noNaN: true });
  const messages = fc.array(message, { minLength: 1, maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(messages, fc.array(share, { maxLength: 8 }), fc.nat(500), async (given, cuts, windowBytes) => {
      const { peer } = start({ windowBytes });
      const texts = given.map(({ by, turns }, index) => `${by}-${index}-${turns}`);
      const bytes = Buffer.concat(texts.map((text) => frameOf(requestOf(text))));
      const places = cuts.map((cut) => Math.floor(cut * bytes.length)).toSorted((one, other) => one - other);
      for (const [index, from] of [0, ...places].entries()) {
        peer.data(1, bytes.subarray(from, places[index] ?? bytes.length), 0);
        await nextTurn();
      }
      peer.data(1, '', frameFlags.END_STREAM);
      while (!hasEnded(peer)) {
        peer.send(frame(frameTypes.WINDOW_UPDATE, 0, 1, uint32(130)));
        await nextTurn();
      }
      expect(peer.bodyOf(1)).toBe(texts.map((text) => frameOf(answerTo(text)).toString('latin1')).join(''));
      peer.destroy();
    }),
    { numRuns: 150, seed: 6 },
  );
});

it('answers no more than may wait for a caller that does not read', async () => {
  const { peer, askedCount } = start({ windowBytes: 0 });
  for (let sent = 0; sent < 100; sent++) peer.data(1, frameOf(requestOf('instant-0-0')), 0);
  await peer.ping();
  // As many as make 200 bytes, and not one more.
  expect(askedCount()).toBe(Math.ceil(200 / (answerBytes + 5)));
  peer.destroy();
});

it('answers what has come when the server shuts down, and then says that it does', async () => {
  const draining = new AbortController();
  const { peer } = start({ windowBytes: 65_535, draining });
  const texts = Array.from({ length: 12 }, (_none, index) => `${index === 9 ? 'handler' : 'instant'}-${index}-2`);
  peer.data(1, frameOf(requestOf('instant-0-2')), 0);
  await peer.ping();
  draining.abort();
  // One that is on its way keeps the others from being the last, whoever answers it.
  for (const text of texts.slice(1)) {
    peer.data(1, frameOf(requestOf(text)), 0);
    await nextTurn();
  }
  await peer.until(() => hasEnded(peer));
  expect(peer.bodyOf(1)).toBe(texts.map((text) => frameOf(answerTo(text)).toString('latin1')).join(''));
  expect(peer.headersOf(1).at(-1)).toMatchObject({ 'grpc-status': '14' });
  peer.destroy();
});
