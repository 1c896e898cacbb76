import { expect, it } from 'vitest';
import { bindWireService } from '../../../sidecar/front/wire-service.ts';
import type { WireLimits } from '../../../sidecar/wire/limits.ts';
import { frameFlags, frameTypes } from '../../../sidecar/wire/frame.ts';
import { GrpcAcceptor } from '../../../sidecar/wire/grpc/grpc-acceptor.ts';
import {
  BatchResolveRequest,
  ResolveRequest,
  ResolverServiceService,
} from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import { frameOf } from '../../../src/platform/grpc/frame.ts';
import type { Instant } from '../../../src/platform/grpc/handlers.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { serviceOptions } from '../../../src/serving/service-options.ts';
import { FakeAlarmClock } from '../../fakes/fake-alarm-clock.ts';
import { answerAtOnce } from '../../support/answer-at-once.ts';
import { frame, uint32 } from '../../support/sidecar-wire/frames.ts';
import { RawPeer, requestFields } from '../../support/sidecar-wire/raw-peer.ts';

/** Requests with this in them are answered at once. */
const marker = 'at once';
const instant: Instant = (request, place) => {
  if (request.includes('broken')) throw new Error('an instant that fails');
  return request.includes(marker) ? answerAtOnce(place, Buffer.from('instantly')) : undefined;
};

function start(limits: Partial<WireLimits> = {}) {
  const release = Promise.withResolvers<void>();
  const clock = new FakeAlarmClock();
  const logger = createLogger('test', 'silent');
  const handled: string[] = [];
  const methods = bindWireService(
    ResolverServiceService,
    {
      resolve: async ({ hashKey }, context) => {
        handled.push(hashKey);
        if (hashKey === 'tell') return Buffer.from(JSON.stringify(context.metadata.toJSON()));
        if (hashKey === 'wait') await release.promise;
        return Buffer.from(`handled ${hashKey}`);
      },
      batchResolve: async () => ({ results: [] }),
      streamResolve: async (messages, writer) => {
        for await (const { requests } of messages) {
          handled.push(requests[0]?.hashKey ?? '');
          await writer.write(Buffer.from(`handled ${requests[0]?.hashKey}`));
        }
      },
    },
    {
      ...serviceOptions({ logger, draining: new AbortController().signal }),
      clock,
      instants: { resolve: instant, streamResolve: instant },
    },
  );
  const acceptor = new GrpcAcceptor({
    methods,
    passOn: undefined,
    clock,
    messageBytesMax: 10_000,
    backlogBytes: 10_000,
  });
  const peer = new RawPeer({ acceptor, limits });
  const open = (path: string, ...more: readonly (readonly [string, string])[]): void =>
    peer.headers(1, requestFields(path, ['content-type', 'application/grpc'], ...more));
  const ended = (): Promise<void> =>
    peer.until((frames) =>
      frames.some(({ type, flags }) => type === frameTypes.HEADERS && (flags & frameFlags.END_STREAM) !== 0),
    );
  return { peer, open, ended, handled, release };
}

function asking(hashKey: string): Buffer {
  return Buffer.from(
    ResolveRequest.encode({ key: undefined, hashKey, attributes: {}, method: '', consistency: undefined }).finish(),
  );
}

const text = (message: string): string => frameOf(Buffer.from(message)).toString('latin1');

it('answers at once what an instant answers, with the correlation id that came', async () => {
  const { peer, open, ended, handled } = start();
  open(ResolverServiceService.resolve.path, ['x-correlation-id', 'the-id']);
  peer.data(1, frameOf(asking(marker)));
  await ended();
  expect(peer.bodyOf(1)).toBe(text('instantly'));
  expect(peer.headersOf(1).at(-1)).toEqual({ 'grpc-status': '0', 'x-correlation-id': 'the-id' });
  expect(handled).toEqual([]);
});

it('gives the handler what an instant does not answer', async () => {
  const { peer, open, ended, handled } = start();
  open(ResolverServiceService.resolve.path);
  peer.data(1, frameOf(asking('slowly')));
  await ended();
  expect(peer.bodyOf(1)).toBe(text('handled slowly'));
  expect(handled).toEqual(['slowly']);
});

it('shows a handler the metadata that gRPC allows, and leaves out what only HTTP does', async () => {
  const { peer, open, ended } = start();
  const odd: readonly (readonly [string, string])[] = [
    ['x!odd', '1'],
    ['x-latin', 'h\u00E4'],
    ['x-tab', 'a\tb'],
  ];
  const ofHttp: readonly (readonly [string, string])[] = [
    ['te', 'trailers'],
    ['accept-encoding', 'gzip'],
    ['grpc-accept-encoding', 'gzip'],
    ['grpc-encoding', 'identity'],
  ];
  open(ResolverServiceService.resolve.path, ...odd, ['x-text', 'some'], ...ofHttp);
  peer.data(1, frameOf(asking('tell')));
  await ended();
  expect(peer.bodyOf(1)).toBe(text('{"x-text":["some"]}'));
});

it('fails the call of an instant that fails, and no other', async () => {
  const { peer, open, ended } = start();
  open(ResolverServiceService.resolve.path);
  peer.data(1, frameOf(asking('broken')));
  await ended();
  expect(peer.headersOf(1).at(-1)).toMatchObject({ 'grpc-status': '13' });
  await peer.ping();
});

it('keeps the order of a stream that instants and the handler answer in turns', async () => {
  const { peer, open, ended, handled } = start();
  open(ResolverServiceService.streamResolve.path);
  const keys = ['one', marker, marker, 'two', marker];
  const batch = (hashKey: string): Buffer =>
    frameOf(BatchResolveRequest.encode({ requests: [ResolveRequest.decode(asking(hashKey))] }).finish());
  peer.data(1, Buffer.concat(keys.map(batch)));
  await ended();
  expect(peer.bodyOf(1)).toBe(keys.map((key) => text(key === marker ? 'instantly' : `handled ${key}`)).join(''));
  expect(handled).toEqual(['one', 'two']);
});

it('gives the place of a call that was reset to no other before its handler has ended', async () => {
  const { peer, handled, release } = start({ streamsMax: 1 });
  const ask = (id: number, hashKey: string): void => {
    peer.headers(id, requestFields(ResolverServiceService.resolve.path, ['content-type', 'application/grpc']));
    peer.data(id, frameOf(asking(hashKey)));
  };
  ask(1, 'wait');
  peer.send(frame(frameTypes.RST_STREAM, 0, 1, uint32(8)));
  ask(3, 'early');
  await peer.ping();
  expect([handled, peer.resetOf(3)]).toEqual([['wait'], 'REFUSED_STREAM']);
  release.resolve();
  await peer.ping();
  ask(5, 'late');
  await peer.until(() => peer.bodyOf(5) === text('handled late'));
});
