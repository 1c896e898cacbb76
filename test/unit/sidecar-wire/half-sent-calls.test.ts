import { expect, it } from 'vitest';
import { frameFlags, frameTypes } from '../../../sidecar/wire/frame.ts';
import { GrpcAcceptor } from '../../../sidecar/wire/grpc/grpc-acceptor.ts';
import type { Method } from '../../../sidecar/wire/grpc/server-call.ts';
import type { Stream } from '../../../sidecar/wire/stream.ts';
import { FakeAlarmClock } from '../../fakes/fake-alarm-clock.ts';
import { frame, plainBlock } from '../../support/sidecar-wire/frames.ts';
import { RawPeer, requestFields } from '../../support/sidecar-wire/raw-peer.ts';
import { messageOf, usualFields } from '../../support/sidecar-wire/spoken-calls.ts';
import { testMethods } from '../../support/sidecar-wire/test-server.ts';

const { HEADERS, DATA } = frameTypes;
const { END_HEADERS, END_STREAM } = frameFlags;
const wholeMessage = messageOf('hello');
const half = wholeMessage.subarray(0, 7);

/** A clock that counts how often an alarm was set. */
class CountingClock extends FakeAlarmClock {
  armedTimes = 0;

  override arm(...[alarm, dueMs]: Parameters<FakeAlarmClock['arm']>): void {
    this.armedTimes++;
    super.arm(alarm, dueMs);
  }
}

function start(): { peer: RawPeer; clock: CountingClock; left: (number | undefined)[]; events: string[] } {
  const clock = new CountingClock();
  const left: (number | undefined)[] = [];
  const events: string[] = [];
  const keeps: Method = { requests: 'one', handle: (_request, call) => void left.push(call.timeoutMs) };
  const methods = new Map([...testMethods({ events, calls: [] }), ['/test.Echo/Left', keeps] as const]);
  const acceptor = new GrpcAcceptor({ methods, passOn: undefined, clock, messageBytesMax: 1_000, backlogBytes: 100 });
  return { peer: new RawPeer({ acceptor }), clock, left, events };
}

/** The frames of a call, for one read or for several. */
function calling(streamId: number, method: string, timeout: string): Buffer {
  const fields = [...requestFields(`/test.Echo/${method}`), ...usualFields, ['grpc-timeout', timeout] as const];
  return frame(HEADERS, END_HEADERS, streamId, plainBlock(fields));
}

function codeOf(peer: RawPeer, streamId: number): string | undefined {
  return peer.headersOf(streamId).at(-1)?.['grpc-status'];
}

it.each([
  ['Unary', 'nothing', []],
  ['Unary', 'half of its message', [frame(DATA, 0, 1, half)]],
  ['Unary', 'its message without the end', [frame(DATA, 0, 1, wholeMessage)]],
  ['Unary', 'half of a frame', [frame(DATA, END_STREAM, 1, wholeMessage).subarray(0, 12)]],
  ['ServerStream', 'half of its message', [frame(DATA, 0, 1, half)]],
  ['ClientStream', 'half of a message', [frame(DATA, 0, 1, half)]],
] as const)('ends a call (%s) of which %s came after its headers at its deadline', async (method, _name, more) => {
  const { peer, clock } = start();
  await peer.ping();
  peer.send(calling(1, method, '250m'), ...more);
  await new Promise(setImmediate);
  clock.advance(249);
  await new Promise(setImmediate);
  expect(codeOf(peer, 1)).toBeUndefined();
  clock.advance(1);
  await peer.frame(HEADERS, 1);
  expect(codeOf(peer, 1)).toBe('4');
  expect(clock.armedCount).toBe(0);
});

it('counts the deadline from the headers, whenever the rest comes', async () => {
  const { peer, clock, left, events } = start();
  peer.send(calling(1, 'Left', '250m'), calling(3, 'Never', '250m'));
  await peer.ping();
  clock.advance(100);
  for (const id of [1, 3]) peer.data(id, half, 0);
  await peer.ping();
  clock.advance(100);
  for (const id of [1, 3]) peer.data(id, wholeMessage.subarray(7));
  await peer.ping();
  // What is shown to a handler is what is left, and it hears of the end after that.
  expect(left).toEqual([50]);
  clock.advance(49);
  expect(events).toEqual([]);
  clock.advance(1);
  expect(events).toEqual(['Never deadline']);
});

it('ends a call whose time is over as soon as it begins', async () => {
  const { peer, clock } = start();
  peer.send(calling(1, 'Unary', '0m'), frame(DATA, 0, 1, half));
  await peer.ping();
  clock.advance(0);
  await peer.frame(HEADERS, 1);
  expect(codeOf(peer, 1)).toBe('4');
});

it('ends calls that others have followed, in one read or in several', async () => {
  const { peer, clock } = start();
  peer.send(calling(1, 'Unary', '10m'), calling(3, 'Unary', '20m'));
  await peer.ping();
  peer.send(calling(5, 'Unary', '30m'));
  await peer.ping();
  for (const id of [1, 3, 5]) {
    expect(codeOf(peer, id)).toBeUndefined();
    clock.advance(10);
    await peer.frame(HEADERS, id);
    expect(codeOf(peer, id)).toBe('4');
  }
  await peer.ping();
  expect(peer.goAway).toBeUndefined();
});

it('drops what a call still says that its deadline has ended, and the connection goes on', async () => {
  const { peer, clock } = start();
  peer.send(calling(1, 'Unary', '10m'), frame(DATA, 0, 1, half));
  await peer.ping();
  clock.advance(10);
  peer.data(1, wholeMessage.subarray(7));
  peer.send(calling(3, 'Unary', '10m'), frame(DATA, END_STREAM, 3, wholeMessage));
  await peer.until(() => codeOf(peer, 3) !== undefined);
  expect([codeOf(peer, 1), codeOf(peer, 3)]).toEqual(['4', '0']);
});

it('sets no alarm for calls that are answered as they are read', async () => {
  const { peer, clock } = start();
  const body = (id: number): Buffer => frame(DATA, END_STREAM, id, wholeMessage);
  for (const id of [1, 3, 5]) peer.send(calling(id, 'Unary', '1S'), body(id));
  // In one read, as clients say many: the headers of all, then their bodies.
  peer.send(...[7, 9].map((id) => calling(id, 'Unary', '1S')), ...[7, 9].map(body));
  await peer.until(() => codeOf(peer, 9) === '0');
  expect(clock.armedTimes).toBe(0);
});

it('forgets the streams that end as they are told that they stay', async () => {
  const acceptor = {
    accept: (stream: Stream): void => {
      const ignored = (): void => {};
      stream.consumer = {
        headers: ignored,
        data: ignored,
        reset: ignored,
        drained: ignored,
        stays: () => stream.reset('CANCEL'),
      };
    },
  };
  const peer = new RawPeer({ acceptor });
  peer.send(...[1, 3, 5].map((id) => frame(HEADERS, END_HEADERS, id, plainBlock(requestFields()))));
  await peer.ping();
  expect([1, 3, 5].map((id) => peer.resetOf(id))).toEqual(['CANCEL', 'CANCEL', 'CANCEL']);
  expect(peer.connection.hasStreams).toBe(false);
});
