import { expect, it } from 'vitest';
import { frameFlags, frameTypes } from '../../../sidecar/wire/frame.ts';
import { wireLimits } from '../../../sidecar/wire/limits.ts';
import { open, whole } from '../../support/sidecar-wire/conformance.ts';
import { EchoAcceptor } from '../../support/sidecar-wire/echo-acceptor.ts';
import { frame, plainBlock } from '../../support/sidecar-wire/frames.ts';
import { RawPeer, requestFields } from '../../support/sidecar-wire/raw-peer.ts';

const { HEADERS, PING, GOAWAY } = frameTypes;
const { ACK, END_STREAM } = frameFlags;
const { unfinishedMsMax, keepaliveMs, idleMsMax } = wireLimits;

it('gives up a connection that says nothing at all', async () => {
  const peer = new RawPeer({ acceptor: new EchoAcceptor(), isSilent: true });
  peer.clock.advance(unfinishedMsMax - 1);
  expect(peer.isClosed).toBe(false);
  peer.clock.advance(unfinishedMsMax);
  await peer.untilClosed();
  expect(String(peer.error)).toContain('unfinished');
});

it.each([
  ['a frame', frame(HEADERS, 0, 1, plainBlock(requestFields())).subarray(0, 12)],
  ['a header block', frame(HEADERS, END_STREAM, 1, plainBlock(requestFields()))],
])('gives up a connection that begins %s and does not end it', async (_name, beginning) => {
  const peer = new RawPeer({ acceptor: new EchoAcceptor() });
  await peer.ping();
  peer.send(beginning);
  await new Promise(setImmediate);
  peer.clock.advance(2 * unfinishedMsMax);
  await peer.untilClosed();
  expect(String(peer.error)).toContain('unfinished');
});

it('asks a silent peer whether it is there, and gives it up when it does not answer', async () => {
  const peer = new RawPeer({ acceptor: new EchoAcceptor() });
  peer.send(open(1, '/wait'));
  await peer.ping();
  peer.clock.advance(2 * keepaliveMs);
  const asked = await peer.frame(PING, 0);
  expect(asked.flags & ACK).toBe(ACK);
  await peer.until((frames) => frames.some(({ type, flags }) => type === PING && flags === 0));
  peer.clock.advance(2 * keepaliveMs);
  await peer.untilClosed();
  expect(String(peer.error)).toContain('silent');
});

it('keeps a peer that answers, for as long as a call takes', async () => {
  const peer = new RawPeer({ acceptor: new EchoAcceptor() });
  peer.send(open(1, '/wait'));
  await peer.ping();
  for (let waitedMs = 0; waitedMs < 2 * idleMsMax; waitedMs += keepaliveMs) {
    peer.clock.advance(keepaliveMs);
    await peer.ping();
  }
  expect(peer.isClosed).toBe(false);
});

it('ends a connection without calls in order, once it has been idle for long', async () => {
  const peer = new RawPeer({ acceptor: new EchoAcceptor() });
  peer.send(whole());
  await peer.ping();
  for (let waitedMs = 0; waitedMs < idleMsMax - keepaliveMs; waitedMs += keepaliveMs) {
    peer.clock.advance(keepaliveMs);
    await peer.ping();
  }
  expect(peer.goAway).toBeUndefined();
  // Smaller than the time between the two GOAWAYs.
  const stepMs = wireLimits.goAwayMs / 2;
  for (let waitedMs = 0; waitedMs < 2 * keepaliveMs && peer.goAway === undefined; waitedMs += stepMs) {
    peer.clock.advance(stepMs);
    await peer.ping();
  }
  // A call that was on its way then is answered.
  peer.send(whole(3));
  await peer.until(() => peer.bodyOf(3) !== '');
  peer.clock.advance(wireLimits.goAwayMs);
  await peer.untilClosed();
  expect(peer.goAway).toEqual({ lastStreamId: 3, error: 'NO_ERROR' });
});

it('keeps a connection whose calls are answered as soon as they come, for as long as they do', async () => {
  const peer = new RawPeer({ acceptor: new EchoAcceptor() });
  let streamId = 1;
  for (let waitedMs = 0; waitedMs < 2 * idleMsMax; waitedMs += idleMsMax / 4) {
    peer.send(whole(streamId));
    await peer.ping();
    streamId += 2;
    for (let passedMs = 0; passedMs < idleMsMax / 4; passedMs += keepaliveMs) {
      peer.clock.advance(keepaliveMs);
      await peer.ping();
    }
  }
  expect(peer.connection.hasStreams).toBe(false);
  expect(peer.goAway).toBeUndefined();
});

it('drains in two steps: nothing that was sent in between is lost', async () => {
  const acceptor = new EchoAcceptor();
  const peer = new RawPeer({ acceptor });
  await peer.ping();
  peer.connection.drain();
  // Sent before the peer has seen anything.
  peer.send(open(1));
  await peer.until(() => peer.goAway !== undefined);
  expect(peer.goAway).toEqual({ lastStreamId: 0x7fffffff, error: 'NO_ERROR' });
  const ping = peer.frames.find(({ type, flags }) => type === PING && flags === 0);
  peer.send(frame(PING, ACK, 0, ping?.payload));
  await peer.until((frames) => frames.filter(({ type }) => type === GOAWAY).length === 2);
  expect(peer.goAway).toEqual({ lastStreamId: 1, error: 'NO_ERROR' });
  // After the second, a new stream is nobody's; the one under way is answered.
  peer.send(whole(3));
  peer.data(1, 'body');
  await peer.until(() => peer.bodyOf(1) === 'body');
  await peer.untilClosed();
  expect(acceptor.lists).toHaveLength(1);
});

it('waits for what is on its way when the last call ends before the peer knows that it drains', async () => {
  const peer = new RawPeer({ acceptor: new EchoAcceptor() });
  peer.send(open(1));
  await peer.ping();
  peer.connection.drain();
  peer.data(1, 'body');
  await peer.until(() => peer.bodyOf(1) === 'body');
  peer.send(whole(3));
  await peer.until(() => peer.bodyOf(3) === 'answer');
  const ping = peer.frames.find(({ type, flags }) => type === PING && flags === 0);
  peer.send(frame(PING, ACK, 0, ping?.payload));
  await peer.untilClosed();
  expect(peer.goAway).toEqual({ lastStreamId: 3, error: 'NO_ERROR' });
});

it('drains also a peer that answers no PING', async () => {
  const peer = new RawPeer({ acceptor: new EchoAcceptor() });
  await peer.ping();
  peer.connection.drain();
  peer.clock.advance(wireLimits.goAwayMs);
  await peer.untilClosed();
  expect(peer.frames.filter(({ type }) => type === GOAWAY).length).toBeGreaterThanOrEqual(2);
});

it('drains a connection of a certain age', async () => {
  const peer = new RawPeer({ acceptor: new EchoAcceptor(), limits: { ageMsMax: 60_000 } });
  await peer.ping();
  for (let waitedMs = 0; waitedMs < 60_000; waitedMs += 5_000) {
    expect(peer.goAway).toBeUndefined();
    await peer.ping();
    peer.clock.advance(5_000);
  }
  await peer.until(() => peer.goAway !== undefined);
});

it('leaves no alarm behind', async () => {
  const peer = new RawPeer({ acceptor: new EchoAcceptor() });
  await peer.ping();
  peer.destroy();
  await peer.untilClosed();
  expect(peer.clock.armedCount).toBe(0);
});

it('tells the consumers of a connection that breaks', async () => {
  const acceptor = new EchoAcceptor();
  const peer = new RawPeer({ acceptor });
  peer.send(open(1), open(3, '/wait'));
  await peer.ping();
  peer.destroy();
  await peer.untilClosed();
  expect(acceptor.events).toEqual(['reset 1 CONNECT_ERROR', 'reset 3 CONNECT_ERROR']);
});
