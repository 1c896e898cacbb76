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
import { frame, plainBlock, settingsPayload, uint32 } from '../../support/sidecar-wire/frames.ts';
import { RawPeer, requestFields } from '../../support/sidecar-wire/raw-peer.ts';

// Sections 6 and 7 of the public h2spec list.
const { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION } =
  frameTypes;
const { ACK, END_HEADERS, END_STREAM, PADDED } = frameFlags;
const initialWindow = 0x4;

const block = plainBlock(requestFields());
const protocolError = connectionError('PROTOCOL_ERROR');
const sizeError = connectionError('FRAME_SIZE_ERROR');
const flowError = connectionError('FLOW_CONTROL_ERROR');
const sends =
  (...parts: readonly Buffer[]): Case['act'] =>
  (peer) =>
    peer.send(...parts);

const cases: readonly Case[] = [
  { name: '6.1 DATA on stream 0', act: sends(frame(DATA, END_STREAM, 0, 'test')), outcome: protocolError },
  {
    name: '6.1 DATA on a stream that is not open',
    act: sends(whole(1, '/wait'), frame(DATA, END_STREAM, 1, 'test')),
    outcome: streamError('STREAM_CLOSED'),
  },
  {
    name: '6.1 DATA with padding longer than itself',
    act: sends(open(), frame(DATA, END_STREAM | PADDED, 1, '\u0006test')),
    outcome: protocolError,
  },
  {
    name: '6.2 HEADERS without END_HEADERS, then PRIORITY',
    act: sends(frame(HEADERS, END_STREAM, 1, block), frame(PRIORITY, 0, 1, Buffer.alloc(5))),
    outcome: protocolError,
  },
  {
    name: '6.2 HEADERS of another stream in between',
    act: sends(frame(HEADERS, END_STREAM, 1, block), whole(3)),
    outcome: protocolError,
  },
  {
    name: '6.2 HEADERS on stream 0',
    act: sends(frame(HEADERS, END_HEADERS | END_STREAM, 0, block)),
    outcome: protocolError,
  },
  {
    name: '6.2 HEADERS with padding longer than themselves',
    act: sends(frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, Buffer.concat([Buffer.from([200]), block]))),
    outcome: protocolError,
  },
  { name: '6.3 PRIORITY on stream 0', act: sends(frame(PRIORITY, 0, 0, Buffer.alloc(5))), outcome: protocolError },
  {
    name: '6.3 PRIORITY of 4 octets',
    act: sends(open(), frame(PRIORITY, 0, 1, Buffer.alloc(4))),
    outcome: streamError('FRAME_SIZE_ERROR'),
  },
  { name: '6.4 RST_STREAM on stream 0', act: sends(frame(RST_STREAM, 0, 0, uint32(8))), outcome: protocolError },
  { name: '6.4 RST_STREAM on an idle stream', act: sends(frame(RST_STREAM, 0, 1, uint32(8))), outcome: protocolError },
  {
    name: '6.4 RST_STREAM of 3 octets',
    act: sends(open(), frame(RST_STREAM, 0, 1, Buffer.alloc(3))),
    outcome: sizeError,
  },
  {
    name: '6.5 SETTINGS with ACK and a payload',
    act: sends(frame(SETTINGS, ACK, 0, settingsPayload([3, 1]))),
    outcome: sizeError,
  },
  {
    name: '6.5 SETTINGS on a stream',
    act: sends(frame(SETTINGS, 0, 1, settingsPayload([3, 1]))),
    outcome: protocolError,
  },
  { name: '6.5 SETTINGS of 3 octets', act: sends(frame(SETTINGS, 0, 0, Buffer.alloc(3))), outcome: sizeError },
  {
    name: '6.5.2 SETTINGS_ENABLE_PUSH of 2',
    act: sends(frame(SETTINGS, 0, 0, settingsPayload([2, 2]))),
    outcome: protocolError,
  },
  {
    name: '6.5.2 SETTINGS_INITIAL_WINDOW_SIZE of 2^31',
    act: sends(frame(SETTINGS, 0, 0, settingsPayload([initialWindow, 0x80000000]))),
    outcome: flowError,
  },
  {
    name: '6.5.2 SETTINGS_MAX_FRAME_SIZE below 2^14',
    act: sends(frame(SETTINGS, 0, 0, settingsPayload([5, 16_383]))),
    outcome: protocolError,
  },
  {
    name: '6.5.2 SETTINGS_MAX_FRAME_SIZE of 2^24',
    act: sends(frame(SETTINGS, 0, 0, settingsPayload([5, 0x1000000]))),
    outcome: protocolError,
  },
  {
    name: '6.5.2 an unknown setting',
    act: sends(frame(SETTINGS, 0, 0, settingsPayload([0xff, 1]))),
    outcome: answered(),
  },
  { name: '6.7 PING on a stream', act: sends(frame(PING, 0, 1, '12345678')), outcome: protocolError },
  { name: '6.7 PING of 6 octets', act: sends(frame(PING, 0, 0, '123456')), outcome: sizeError },
  { name: '6.8 GOAWAY on a stream', act: sends(frame(GOAWAY, 0, 1, uint32(0, 0))), outcome: protocolError },
  { name: '6.9 WINDOW_UPDATE of 0', act: sends(frame(WINDOW_UPDATE, 0, 0, uint32(0))), outcome: protocolError },
  {
    name: '6.9 WINDOW_UPDATE of 0 on a stream',
    act: sends(open(), frame(WINDOW_UPDATE, 0, 1, uint32(0))),
    outcome: streamError('PROTOCOL_ERROR'),
  },
  {
    name: '6.9 WINDOW_UPDATE of 3 octets',
    act: sends(frame(WINDOW_UPDATE, 0, 0, Buffer.alloc(3))),
    outcome: sizeError,
  },
  {
    name: '6.9.1 a window of the connection above 2^31 - 1',
    act: sends(frame(WINDOW_UPDATE, 0, 0, uint32(0x7fffffff)), frame(WINDOW_UPDATE, 0, 0, uint32(0x7fffffff))),
    outcome: flowError,
  },
  {
    name: '6.9.1 a window of a stream above 2^31 - 1',
    act: sends(open(), frame(WINDOW_UPDATE, 0, 1, uint32(0x7fffffff)), frame(WINDOW_UPDATE, 0, 1, uint32(0x7fffffff))),
    outcome: streamError('FLOW_CONTROL_ERROR'),
  },
  {
    name: '6.9.2 SETTINGS_INITIAL_WINDOW_SIZE above the maximum',
    act: sends(open(), frame(SETTINGS, 0, 0, settingsPayload([initialWindow, 0x80000000]))),
    outcome: flowError,
  },
  {
    name: '6.9.2 SETTINGS_INITIAL_WINDOW_SIZE that overflows the window of a stream',
    act: sends(
      open(),
      frame(WINDOW_UPDATE, 0, 1, uint32(0x7fffffff - 65_535)),
      frame(SETTINGS, 0, 0, settingsPayload([initialWindow, 0x7fffffff])),
    ),
    outcome: flowError,
  },
  {
    name: '6.10 many CONTINUATION after HEADERS',
    act: sends(
      frame(HEADERS, END_STREAM, 1, block.subarray(0, 9)),
      frame(CONTINUATION, 0, 1, block.subarray(9, 20)),
      frame(CONTINUATION, END_HEADERS, 1, block.subarray(20)),
    ),
    outcome: answered(1),
  },
  {
    name: '6.10 CONTINUATION, then another frame',
    act: sends(frame(HEADERS, END_STREAM, 1, block), frame(CONTINUATION, 0, 1), frame(DATA, END_STREAM, 1, 'test')),
    outcome: protocolError,
  },
  {
    name: '6.10 CONTINUATION on stream 0',
    act: sends(frame(HEADERS, END_STREAM, 1, block), frame(CONTINUATION, END_HEADERS, 0)),
    outcome: protocolError,
  },
  {
    name: '6.10 CONTINUATION after END_HEADERS',
    act: sends(whole(), frame(CONTINUATION, END_HEADERS, 1, block)),
    outcome: protocolError,
  },
  {
    name: '6.10 CONTINUATION after the last CONTINUATION',
    act: sends(
      frame(HEADERS, END_STREAM, 1, block),
      frame(CONTINUATION, END_HEADERS, 1),
      frame(CONTINUATION, END_HEADERS, 1, block),
    ),
    outcome: protocolError,
  },
  {
    name: '6.10 CONTINUATION after DATA',
    act: sends(open(), frame(DATA, 0, 1, 'test'), frame(CONTINUATION, END_HEADERS, 1, block)),
    outcome: protocolError,
  },
  { name: '7 GOAWAY of an unknown error', act: sends(frame(GOAWAY, 0, 0, uint32(0, 0xff))), outcome: answered() },
  {
    name: '7 RST_STREAM of an unknown error',
    act: sends(open(), frame(RST_STREAM, 0, 1, uint32(0xff))),
    outcome: answered(),
  },
  {
    name: '8.2 PUSH_PROMISE',
    act: sends(frame(PUSH_PROMISE, END_HEADERS, 1, Buffer.concat([uint32(3), block]))),
    outcome: protocolError,
  },
];

runCases(cases);

it('6.5.3 takes the values of a setting in their order', async () => {
  const peer = new RawPeer({ acceptor: new EchoAcceptor() });
  peer.send(frame(SETTINGS, 0, 0, settingsPayload([initialWindow, 100], [initialWindow, 1])), whole());
  expect((await peer.frame(DATA, 1)).payload).toHaveLength(1);
});

it('6.5.3 acknowledges SETTINGS', async () => {
  const peer = new RawPeer({ acceptor: new EchoAcceptor() });
  await peer.until((frames) => frames.some(({ type, flags }) => type === SETTINGS && flags === ACK));
  expect(peer.frames.filter(({ type, flags }) => type === SETTINGS && flags === ACK)).toHaveLength(1);
});

it('6.7 answers PING with its payload, and an answer with nothing', async () => {
  const peer = new RawPeer({ acceptor: new EchoAcceptor() });
  peer.send(frame(PING, ACK, 0, 'answered'));
  await peer.ping('question');
  const pings = peer.frames.filter(({ type }) => type === PING);
  expect(pings.map(({ flags, payload }) => [flags, payload.toString()])).toEqual([[ACK, 'question']]);
});

it('6.9.1 sends no more than the window of a stream', async () => {
  const peer = new RawPeer({ acceptor: new EchoAcceptor(), settings: [[initialWindow, 1]] });
  peer.send(whole());
  expect((await peer.frame(DATA, 1)).payload).toHaveLength(1);
  await peer.ping();
  expect(peer.bodyOf(1)).toBe('a');
});

it('6.9.2 changes the windows of streams that are open', async () => {
  const peer = new RawPeer({ acceptor: new EchoAcceptor(), settings: [[initialWindow, 0]] });
  peer.send(whole());
  await peer.ping();
  expect(peer.bodyOf(1)).toBe('');
  peer.send(frame(SETTINGS, 0, 0, settingsPayload([initialWindow, 1])));
  expect((await peer.frame(DATA, 1)).payload).toHaveLength(1);
});

it('6.9.2 keeps count of a window below 0', async () => {
  const peer = new RawPeer({ acceptor: new EchoAcceptor(), settings: [[initialWindow, 3]] });
  peer.send(whole());
  await peer.until(() => peer.bodyOf(1) === 'ans');
  peer.send(frame(SETTINGS, 0, 0, settingsPayload([initialWindow, 2])), frame(WINDOW_UPDATE, 0, 1, uint32(2)));
  await peer.until(() => peer.bodyOf(1).length > 3);
  await peer.ping();
  expect(peer.bodyOf(1)).toBe('answ');
});
