import { expect, it } from 'vitest';
import { frameFlags, frameTypes } from '../../../sidecar/wire/frame.ts';
import { GrpcAcceptor } from '../../../sidecar/wire/grpc/grpc-acceptor.ts';
import type { CallListener, Method, RequestListener, ServerCall } from '../../../sidecar/wire/grpc/server-call.ts';
import { okStatus } from '../../../sidecar/wire/grpc/status-code.ts';
import { FakeAlarmClock } from '../../fakes/fake-alarm-clock.ts';
import { frame, plainBlock, uint32 } from '../../support/sidecar-wire/frames.ts';
import { RawPeer, requestFields, type RawPeerOptions } from '../../support/sidecar-wire/raw-peer.ts';
import { testMethods } from '../../support/sidecar-wire/test-server.ts';

const { HEADERS, DATA, RST_STREAM, WINDOW_UPDATE } = frameTypes;
const { END_HEADERS, END_STREAM } = frameFlags;

type Field = readonly [name: string, value: string];
const grpc: readonly Field[] = [
  ['content-type', 'application/grpc'],
  ['te', 'trailers'],
];

function messageOf(text: string, flag = 0): Buffer {
  return Buffer.concat([Buffer.from([flag]), uint32(text.length), Buffer.from(text, 'latin1')]);
}

function start(more: Record<string, Method> = {}, options: Omit<RawPeerOptions, 'acceptor'> = {}) {
  const seen = { events: [] as string[], calls: [] as ServerCall[] };
  const methods = new Map([...testMethods(seen), ...Object.entries(more)]);
  const clock = new FakeAlarmClock();
  const acceptor = new GrpcAcceptor({ methods, passOn: undefined, clock, messageBytesMax: 1_000, backlogBytes: 100 });
  const peer = new RawPeer({ acceptor, ...options });
  const call = (name: string, body: Buffer, ...fields: readonly Field[]): void => {
    peer.headers(1, requestFields(name.startsWith('/') ? name : `/test.Echo/${name}`, ...grpc, ...fields));
    peer.data(1, body);
  };
  /** The trailers of stream 1: its last header block. */
  const trailers = async (): Promise<Record<string, string>> => {
    await peer.until((frames) =>
      frames.some((each) => each.type === HEADERS && each.streamId === 1 && (each.flags & END_STREAM) !== 0),
    );
    return peer.headersOf(1).at(-1) ?? {};
  };
  return { seen, clock, peer, call, trailers };
}

it('answers a unary call with headers, one message and trailers', async () => {
  const { peer, call, trailers } = start();
  call('Unary', messageOf('hello'));
  expect(await trailers()).toEqual({ 'grpc-status': '0' });
  expect(peer.headersOf(1)[0]).toEqual({ ':status': '200', 'content-type': 'application/grpc+proto' });
  expect(peer.bodyOf(1)).toBe(messageOf('hello').toString('latin1'));
});

it.each([
  ['a compressed message', 'Unary', messageOf('zip', 1), [['grpc-encoding', 'gzip']], '12', 'gzip'],
  ['a compressed message without an encoding', 'Unary', messageOf('zip', 1), [], '13', 'grpc-encoding'],
  ['no message', 'Unary', Buffer.alloc(0), [], '12', 'one message'],
  ['two messages', 'Unary', Buffer.concat([messageOf('a'), messageOf('b')]), [], '12', 'one message'],
  ['half a message', 'Unary', messageOf('hello').subarray(0, 7), [], '13', 'inside of a message'],
  ['half a prefix', 'ClientStream', Buffer.alloc(3), [], '13', 'inside of a message'],
  ['too large a message', 'Unary', messageOf('x'.repeat(1_001)), [], '8', '1001 bytes'],
  ['an unknown method', 'None', messageOf(''), [], '12', 'not implement'],
  ['a broken timeout', 'Unary', messageOf(''), [['grpc-timeout', '1 second']], '13', 'grpc-timeout'],
  ['too much metadata', 'Unary', messageOf(''), [['x-long', 'x'.repeat(16_150)]], '8', 'metadata'],
] as const)('refuses %s', async (_name, method, body, fields, code, text) => {
  const { peer, call, trailers } = start();
  call(method, body, ...fields);
  const got = await trailers();
  expect(got['grpc-status']).toBe(code);
  expect(got['grpc-message']).toContain(text);
  await peer.ping();
});

it('says which compression it takes when it refuses one', async () => {
  const { peer, call, trailers } = start();
  call('Unary', messageOf('zip', 1), ['grpc-encoding', 'gzip']);
  await trailers();
  expect(peer.headersOf(1)[0]).toMatchObject({ 'grpc-accept-encoding': 'identity' });
});

it('takes an uncompressed message of a caller that may compress', async () => {
  const { call, trailers } = start();
  call('Unary', messageOf('hello'), ['grpc-encoding', 'gzip'], ['grpc-accept-encoding', 'gzip']);
  expect(await trailers()).toEqual({ 'grpc-status': '0' });
});

it('waits for the end of the stream before it handles a call, wherever the message is cut', async () => {
  const { peer, trailers } = start();
  peer.headers(1, requestFields('/test.Echo/Unary', ...grpc));
  for (const byte of messageOf('hello')) peer.data(1, Buffer.from([byte]), 0);
  await peer.ping();
  expect(peer.bodyOf(1)).toBe('');
  peer.data(1, '');
  await trailers();
  expect(peer.bodyOf(1)).toBe(messageOf('hello').toString('latin1'));
});

it('ends a call at its deadline, and tells its handler', async () => {
  const { seen, clock, peer, call, trailers } = start();
  call('Never', messageOf(''), ['grpc-timeout', '250m']);
  await peer.ping();
  clock.advance(249);
  expect(seen.events).toEqual([]);
  clock.advance(1);
  expect(seen.events).toEqual(['Never deadline']);
  expect(await trailers()).toMatchObject({ 'grpc-status': '4' });
  // What the handler says afterwards goes nowhere.
  seen.calls[0]!.answer(Buffer.from('late'));
  await peer.ping();
  expect(peer.bodyOf(1)).toBe('');
});

it('stops the clock of a call that was answered', async () => {
  const { clock, call, trailers } = start();
  call('Later', messageOf('x'), ['grpc-timeout', '250m']);
  await trailers();
  expect(clock.armedCount).toBe(0);
});

it('tells the handler of a cancellation, once', async () => {
  const { seen, peer, call } = start();
  call('Never', messageOf(''));
  peer.send(frame(RST_STREAM, 0, 1, uint32(8)));
  await peer.ping();
  expect(seen.events).toEqual(['Never cancelled']);
  peer.destroy();
  await peer.untilClosed();
  expect(seen.events).toEqual(['Never cancelled']);
});

it('ends a call before the caller has said all, and tells it to stop', async () => {
  const early: Method = {
    requests: 'many',
    open: (call): RequestListener => ({
      message: () => call.finish(okStatus),
      ended: () => {},
      over: () => {},
      drained: () => {},
    }),
  };
  const { peer, trailers } = start({ '/early': early });
  peer.headers(1, requestFields('/early', ...grpc));
  peer.data(1, messageOf('one'), 0);
  expect(await trailers()).toMatchObject({ 'grpc-status': '0' });
  await peer.until(() => peer.resetOf(1) === 'NO_ERROR');
  // What was under way is ignored.
  peer.data(1, messageOf('two'), 0);
  await peer.ping();
});

it('says when to wait for a slow reader, and when to go on', async () => {
  const sent: boolean[] = [];
  const slow: Method = {
    requests: 'one',
    handle: (_request, call) => {
      call.listener = { over: () => {}, drained: () => void sent.push(call.send(Buffer.from('last'))) };
      sent.push(call.send(Buffer.alloc(40)), call.send(Buffer.alloc(60)), call.send(Buffer.alloc(100)));
    },
  };
  const { peer, call } = start({ '/slow': slow }, { settings: [[4, 50]] });
  call('/slow', messageOf(''));
  await peer.ping();
  expect(sent).toEqual([true, true, false]);
  peer.send(frame(WINDOW_UPDATE, 0, 1, uint32(1_000)));
  await peer.until(() => peer.bodyOf(1).endsWith('last'));
  expect(sent).toEqual([true, true, false, true]);
});

it('takes no more than a window from the caller of a handler that pauses', async () => {
  let paused: ServerCall | undefined;
  let bytes = 0;
  const lazy: Method = {
    requests: 'many',
    open: (call): RequestListener => {
      paused = call;
      call.pause();
      return {
        message: (message) => void (bytes += message.length),
        ended: () => call.finish(okStatus),
        over: () => {},
        drained: () => {},
      };
    },
  };
  const { peer, trailers } = start({ '/lazy': lazy });
  peer.headers(1, requestFields('/lazy', ...grpc));
  const piece = Buffer.concat(Array.from({ length: 16 }, () => messageOf('x'.repeat(1_000))));
  for (let sent = 0; sent < 16; sent++) peer.data(1, piece, 0);
  await peer.ping();
  const updates = (): number =>
    peer.frames.filter(({ type, streamId }) => type === WINDOW_UPDATE && streamId === 1).length;
  expect(updates()).toBe(0);
  paused!.resume();
  peer.data(1, '');
  await trailers();
  expect(updates()).toBe(1);
  expect(bytes).toBe(256_000);
});

it('refuses what is not gRPC with a status of HTTP', async () => {
  const { peer } = start();
  peer.headers(1, requestFields('/test.Echo/Unary'), END_HEADERS | END_STREAM);
  peer.send(
    frame(
      HEADERS,
      END_HEADERS | END_STREAM,
      3,
      plainBlock([
        [':method', 'GET'],
        [':scheme', 'http'],
        [':path', '/'],
      ]),
    ),
  );
  await peer.frame(HEADERS, 3);
  expect([peer.headersOf(1)[0]?.[':status'], peer.headersOf(3)[0]?.[':status']]).toEqual(['415', '405']);
  expect(peer.frames.some(({ type }) => type === DATA)).toBe(false);
});

it.each([
  ['application/grpc', '0'],
  ['application/grpc+proto', '0'],
  ['application/grpc+json', '0'],
  ['application/grpc;charset=utf-8', '0'],
  ['application/grpc-web', undefined],
  ['application/json', undefined],
])('knows gRPC by its content-type: %s', async (type, code) => {
  const { peer, trailers } = start();
  // The first counts, here as in `node:http2`.
  peer.headers(1, requestFields('/test.Echo/Unary', ['content-type', type], ['content-type', 'text/html']));
  peer.data(1, messageOf('hello'));
  const { ':status': status, 'grpc-status': heard } = await trailers();
  expect([status, heard]).toEqual(code === undefined ? ['415', undefined] : [undefined, code]);
});

it('says that it does not know a method, whatever else is wrong with a call', async () => {
  const { call, trailers } = start();
  call('None', messageOf(''), ['grpc-timeout', 'soon']);
  expect(await trailers()).toMatchObject({ 'grpc-status': '12' });
});

it('says nothing of compression to a caller of two messages', async () => {
  const { peer, call, trailers } = start();
  call('Unary', Buffer.concat([messageOf('a'), messageOf('b')]));
  await trailers();
  expect(peer.headersOf(1)).toEqual([expect.not.objectContaining({ 'grpc-accept-encoding': 'identity' })]);
});

/** Methods that work until they are told not to, whatever becomes of their calls. */
function workers() {
  const working: ServerCall[] = [];
  const refused: CallListener[] = [];
  const work: Method = {
    requests: 'one',
    handle: (request, call) => {
      call.listener = { over: () => {}, drained: () => {} };
      if (call.occupy(request.length)) working.push(call);
      else refused.push(call.listener);
    },
  };
  return { working, refused, work };
}

it('counts a call that was reset as under way until its handler has ended', async () => {
  const { working, work } = workers();
  const { peer } = start({ '/test.Work/Long': work }, { limits: { streamsMax: 4 } });
  const ask = (id: number): void => {
    peer.headers(id, requestFields('/test.Work/Long', ...grpc));
    peer.data(id, messageOf('work'));
  };
  for (const id of [1, 3, 5, 7]) {
    ask(id);
    peer.send(frame(RST_STREAM, 0, id, uint32(8)));
  }
  await peer.ping();
  expect(working).toHaveLength(4);
  ask(9);
  await peer.ping();
  expect(peer.resetOf(9)).toBe('REFUSED_STREAM');
  expect(working).toHaveLength(4);
  working[0]?.vacate();
  ask(11);
  await peer.ping();
  expect(peer.resetOf(11)).toBeUndefined();
  expect(working).toHaveLength(5);
});

it('holds the requests of handlers that work, also of calls that were reset, within what a connection may hold', async () => {
  const { working, refused, work } = workers();
  const { peer, clock } = start({ '/test.Work/Long': work }, { limits: { heldBytesMax: 2_500 } });
  const ask = (id: number): void => {
    peer.headers(id, requestFields('/test.Work/Long', ...grpc));
    peer.data(id, messageOf('x'.repeat(1_000)));
  };
  ask(1);
  peer.send(frame(RST_STREAM, 0, 1, uint32(8)));
  ask(3);
  ask(5);
  await peer.ping();
  expect([working.length, refused.length]).toEqual([2, 1]);
  expect(peer.headersOf(5).at(-1)).toMatchObject({ 'grpc-status': '8' });
  for (const call of working) call.vacate();
  ask(7);
  await peer.ping();
  expect([working.length, refused.length]).toEqual([3, 1]);
  for (const call of working) call.vacate();
  expect(peer.waitingBytes).toBe(0);
  expect(clock.armedCount).toBe(0);
});

it('counts the messages that a handler does not take, and ends the stream of one too many', async () => {
  const paused: Method = {
    requests: 'many',
    open: (call): RequestListener => {
      call.pause();
      return { message: () => {}, ended: () => {}, over: () => {}, drained: () => {} };
    },
  };
  const { peer } = start({ '/test.Work/Slow': paused }, { limits: { heldBytesMax: 2_500 } });
  for (const id of [1, 3]) peer.headers(id, requestFields('/test.Work/Slow', ...grpc));
  peer.data(1, messageOf('x'.repeat(1_000)), 0);
  peer.data(1, messageOf('x'.repeat(1_000)), 0);
  await peer.ping();
  expect(peer.waitingBytes).toBe(2_010);
  // The message would fit, but not with its prefix.
  peer.data(3, messageOf('x'.repeat(490)), 0);
  await peer.ping();
  expect(peer.resetOf(3)).toBe('ENHANCE_YOUR_CALM');
  expect(peer.resetOf(1)).toBeUndefined();
  peer.send(frame(RST_STREAM, 0, 1, uint32(8)));
  await peer.ping();
  expect(peer.waitingBytes).toBe(0);
});

it('hands on no more messages of a piece once its handler has ended the call', async () => {
  const messages: string[] = [];
  const first: Method = {
    requests: 'many',
    open: (call) => ({
      message: (bytes) => {
        messages.push(bytes.toString('latin1'));
        call.finish(okStatus);
      },
      ended: () => {},
      over: () => {},
      drained: () => {},
    }),
  };
  const { call, trailers } = start({ '/test.Echo/First': first });
  call('First', Buffer.concat([messageOf('one'), messageOf('two'), messageOf('three')]));
  expect(await trailers()).toEqual(expect.objectContaining({ 'grpc-status': '0' }));
  expect(messages).toEqual(['one']);
});

it('answers header fields that are longer than what is written in place, and those that are cut from one text', async () => {
  const echo: Method = {
    requests: 'one',
    handle: (request, call) =>
      call.answer(
        request,
        call.list.fields.filter(({ name }) => name.startsWith('x-')),
      ),
  };
  const { call, trailers } = start({ '/test.Echo/Fields': echo });
  const fields: Record<string, string> = {
    'x-short': 'a short value of a field',
    'x-empty': '',
    'x-long': 'y'.repeat(5_000),
    'x-last': 'the last of them, again short',
  };
  call('Fields', messageOf('hello'), ...Object.entries(fields));
  expect(await trailers()).toEqual({ 'grpc-status': '0', ...fields });
});
