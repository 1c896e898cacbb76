import { expect, it } from 'vitest';
import { frameFlags, frameTypes } from '../../../sidecar/wire/frame.ts';
import {
  answered,
  type Case,
  connectionError,
  open,
  runCases,
  streamError,
  whole,
} from '../../support/sidecar-wire/conformance.ts';
import { EchoAcceptor } from '../../support/sidecar-wire/echo-acceptor.ts';
import { frame, plainBlock, uint32 } from '../../support/sidecar-wire/frames.ts';
import { RawPeer, requestFields } from '../../support/sidecar-wire/raw-peer.ts';

// Sections 3 to 5 of the public h2spec list.
const { DATA, HEADERS, PRIORITY, RST_STREAM, WINDOW_UPDATE, CONTINUATION, PING } = frameTypes;
const { END_HEADERS, END_STREAM } = frameFlags;

const block = plainBlock(requestFields());
const cancel = uint32(8);
const onItself = Buffer.concat([uint32(1), Buffer.from([255])]);

async function ended(peer: RawPeer): Promise<void> {
  peer.send(whole());
  await peer.until(() => peer.bodyOf(1) === 'answer');
}

const format: readonly Case[] = [
  {
    name: '4.1 a frame of an unknown type',
    act: (peer) => peer.send(frame(0xff, 0, 0, 'unknown')),
    outcome: answered(),
  },
  {
    name: '4.1 an undefined flag',
    act: (peer) => peer.ping().then(() => peer.send(frame(PING, 0x16, 0, '12345678'))),
    outcome: answered(),
  },
  {
    name: '4.1 the reserved bit of a stream',
    act: (peer) => peer.send(frame(PING, 0, 0x80000000, '12345678')),
    outcome: answered(),
  },
  {
    name: '4.2 DATA of 2^14 octets',
    act: (peer) => peer.send(open(), frame(DATA, END_STREAM, 1, Buffer.alloc(16_384, 0x61))),
    outcome: answered(1),
  },
  {
    name: '4.2 DATA above SETTINGS_MAX_FRAME_SIZE',
    act: (peer) => peer.send(open(), frame(DATA, END_STREAM, 1, Buffer.alloc(16_385))),
    outcome: connectionError('FRAME_SIZE_ERROR'),
  },
  {
    name: '4.2 HEADERS above SETTINGS_MAX_FRAME_SIZE',
    act: (peer) => peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, Buffer.alloc(16_385))),
    outcome: connectionError('FRAME_SIZE_ERROR'),
  },
  {
    name: '4.3 a broken header block',
    act: (peer) => peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, Buffer.from([0x40]))),
    outcome: connectionError('COMPRESSION_ERROR'),
  },
  {
    name: '4.3 PRIORITY inside of a header block',
    act: (peer) => peer.send(frame(HEADERS, END_STREAM, 1, block), frame(PRIORITY, 0, 1, Buffer.alloc(5))),
    outcome: connectionError('PROTOCOL_ERROR'),
  },
  {
    name: '4.3 HEADERS of another stream inside of a header block',
    act: (peer) => peer.send(frame(HEADERS, END_STREAM, 1, block), whole(3)),
    outcome: connectionError('PROTOCOL_ERROR'),
  },
];

const states: readonly Case[] = [
  {
    name: '5.1 idle: DATA',
    act: (peer) => peer.send(frame(DATA, END_STREAM, 1, 'test')),
    outcome: connectionError('PROTOCOL_ERROR'),
  },
  {
    name: '5.1 idle: RST_STREAM',
    act: (peer) => peer.send(frame(RST_STREAM, 0, 1, cancel)),
    outcome: connectionError('PROTOCOL_ERROR'),
  },
  {
    name: '5.1 idle: WINDOW_UPDATE',
    act: (peer) => peer.send(frame(WINDOW_UPDATE, 0, 1, uint32(100))),
    outcome: connectionError('PROTOCOL_ERROR'),
  },
  {
    name: '5.1 idle: CONTINUATION',
    act: (peer) => peer.send(frame(CONTINUATION, END_HEADERS, 1, block)),
    outcome: connectionError('PROTOCOL_ERROR'),
  },
  {
    name: '5.1 half closed (remote): DATA',
    act: (peer) => peer.send(whole(1, '/wait'), frame(DATA, END_STREAM, 1, 'test')),
    outcome: streamError('STREAM_CLOSED'),
  },
  {
    name: '5.1 half closed (remote): HEADERS',
    act: (peer) => peer.send(whole(1, '/wait'), whole()),
    outcome: streamError('STREAM_CLOSED'),
  },
  {
    name: '5.1 half closed (remote): CONTINUATION',
    act: (peer) => peer.send(whole(1, '/wait'), frame(CONTINUATION, END_HEADERS, 1, block)),
    outcome: connectionError('PROTOCOL_ERROR'),
  },
  {
    name: '5.1 closed by RST_STREAM: DATA',
    act: (peer) => peer.send(open(), frame(RST_STREAM, 0, 1, cancel), frame(DATA, END_STREAM, 1, 'test')),
    outcome: streamError('STREAM_CLOSED'),
  },
  {
    name: '5.1 closed by RST_STREAM: HEADERS',
    act: (peer) => peer.send(open(), frame(RST_STREAM, 0, 1, cancel), whole()),
    outcome: connectionError('STREAM_CLOSED'),
  },
  {
    name: '5.1 closed by RST_STREAM: CONTINUATION',
    act: (peer) => peer.send(open(), frame(RST_STREAM, 0, 1, cancel), frame(CONTINUATION, END_HEADERS, 1, block)),
    outcome: connectionError('PROTOCOL_ERROR'),
  },
  {
    name: '5.1 closed: DATA',
    act: (peer) => ended(peer).then(() => peer.send(frame(DATA, END_STREAM, 1, 'test'))),
    outcome: streamError('STREAM_CLOSED'),
  },
  {
    name: '5.1 closed: HEADERS',
    act: (peer) => ended(peer).then(() => peer.send(whole())),
    outcome: connectionError('STREAM_CLOSED'),
  },
  {
    name: '5.1 closed: CONTINUATION',
    act: (peer) => ended(peer).then(() => peer.send(frame(CONTINUATION, END_HEADERS, 1, block))),
    outcome: connectionError('PROTOCOL_ERROR'),
  },
  { name: '5.1.1 an even stream', act: (peer) => peer.send(whole(2)), outcome: connectionError('PROTOCOL_ERROR') },
  {
    name: '5.1.1 a stream below the last one',
    act: (peer) => peer.send(whole(5), whole(3)),
    outcome: connectionError('PROTOCOL_ERROR'),
  },
  {
    name: '5.1.2 more streams than SETTINGS_MAX_CONCURRENT_STREAMS',
    act: (peer) => peer.send(...Array.from({ length: 11 }, (_none, index) => open(index * 2 + 1))),
    outcome: streamError('REFUSED_STREAM', 21),
    options: { limits: { streamsMax: 10 } },
  },
  {
    name: '5.3.1 HEADERS that depend on themselves',
    act: (peer) =>
      peer.send(frame(HEADERS, END_HEADERS | END_STREAM | frameFlags.PRIORITY, 1, Buffer.concat([onItself, block]))),
    outcome: streamError('PROTOCOL_ERROR'),
  },
  {
    name: '5.3.1 PRIORITY of an open stream on itself',
    act: (peer) => peer.send(open(), frame(PRIORITY, 0, 1, onItself)),
    outcome: streamError('PROTOCOL_ERROR'),
  },
  {
    name: '5.3.1 PRIORITY of an idle stream on itself',
    act: (peer) => peer.send(frame(PRIORITY, 0, 1, onItself)),
    outcome: connectionError('PROTOCOL_ERROR'),
  },
  {
    name: '5.4.1 an invalid PING',
    act: (peer) => peer.send(frame(PING, 0, 0, '123456')),
    outcome: connectionError('FRAME_SIZE_ERROR'),
  },
  {
    name: '5.5 an unknown extension frame',
    act: (peer) => peer.send(frame(0x16, 0, 0, '12345678')),
    outcome: answered(),
  },
  {
    name: '5.5 an unknown extension frame inside of a header block',
    act: (peer) => peer.send(frame(HEADERS, END_STREAM, 1, block), frame(0x16, 0, 0, '12345678')),
    outcome: connectionError('PROTOCOL_ERROR'),
  },
];

runCases([...format, ...states]);

it('3.5 the preface of the server comes first, and is SETTINGS', async () => {
  const peer = new RawPeer({ acceptor: new EchoAcceptor() });
  await peer.ping();
  expect(peer.frames[0]).toMatchObject({ type: frameTypes.SETTINGS, flags: 0 });
});

it('3.5 an invalid preface ends the connection', async () => {
  const peer = new RawPeer({ acceptor: new EchoAcceptor(), isSilent: true });
  peer.send('GET / HTTP/1.1\r\n\r\n');
  await peer.untilClosed();
  expect(peer.goAway?.error).toBe('PROTOCOL_ERROR');
});

it('3.5 a preface that is followed by no SETTINGS ends the connection', async () => {
  const peer = new RawPeer({ acceptor: new EchoAcceptor(), isSilent: true });
  peer.send('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', frame(PING, 0, 0, '12345678'));
  await peer.untilClosed();
  expect(peer.goAway?.error).toBe('PROTOCOL_ERROR');
});

it('5.4.1 the connection is closed after its GOAWAY, which names the last stream', async () => {
  const peer = new RawPeer({ acceptor: new EchoAcceptor() });
  peer.send(whole(3), frame(PING, 0, 0, '123456'));
  await peer.untilClosed();
  expect(peer.goAway).toEqual({ lastStreamId: 3, error: 'FRAME_SIZE_ERROR' });
});
