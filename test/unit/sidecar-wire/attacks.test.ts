import { expect, it } from 'vitest';
import { ByteBudget } from '../../../sidecar/wire/byte-budget.ts';
import { frameFlags, frameTypes } from '../../../sidecar/wire/frame.ts';
import { streamBytes, wireLimits } from '../../../sidecar/wire/limits.ts';
import { open, whole } from '../../support/sidecar-wire/conformance.ts';
import { EchoAcceptor } from '../../support/sidecar-wire/echo-acceptor.ts';
import { frame, plainBlock, settingsPayload, uint32 } from '../../support/sidecar-wire/frames.ts';
import { RawPeer, requestFields } from '../../support/sidecar-wire/raw-peer.ts';

const { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, CONTINUATION, GOAWAY, WINDOW_UPDATE } = frameTypes;
const { ACK, END_HEADERS, END_STREAM, PADDED } = frameFlags;
const initialWindow = 0x4;
const odd = (count: number): number[] => Array.from({ length: count }, (_none, index) => index * 2 + 1);

/** Sends something over and over until the connection is closed, or so many times. */
async function flood(peer: RawPeer, countMax: number, piece: (index: number) => Buffer): Promise<void> {
  const batch = 100;
  for (let index = 0; index < countMax && peer.goAway === undefined; index += batch) {
    peer.send(...Array.from({ length: batch }, (_none, at) => piece(index + at)));
    await new Promise(setImmediate);
  }
}

async function expectCalm(peer: RawPeer): Promise<void> {
  await peer.untilClosed();
  expect(peer.goAway?.error).toBe('ENHANCE_YOUR_CALM');
}

it('ends a connection that resets its streams as fast as it opens them', async () => {
  const acceptor = new EchoAcceptor();
  const peer = new RawPeer({ acceptor });
  await flood(peer, 3_000, (index) =>
    Buffer.concat([open(index * 2 + 1), frame(RST_STREAM, 0, index * 2 + 1, uint32(8))]),
  );
  await expectCalm(peer);
  // What nobody waits for is bounded.
  expect(acceptor.lists.length).toBeLessThanOrEqual(wireLimits.resets.burst + 100);
});

it('lets a client cancel as many calls as it may each second, for ever', async () => {
  const acceptor = new EchoAcceptor();
  const peer = new RawPeer({ acceptor, limits: { resets: { burst: 10, perSecond: 10 } } });
  for (let second = 0; second < 5; second++) {
    for (const index of odd(10)) {
      const id = second * 20 + index;
      peer.send(open(id), frame(RST_STREAM, 0, id, uint32(8)));
    }
    await peer.ping();
    peer.clock.advance(1_000);
  }
  expect(acceptor.events).toHaveLength(50);
});

it('ends a connection whose own errors make us reset its streams', async () => {
  const peer = new RawPeer({ acceptor: new EchoAcceptor() });
  const malformed = plainBlock([[':method', 'POST']]);
  await flood(peer, 3_000, (index) => frame(HEADERS, END_HEADERS, index * 2 + 1, malformed));
  await expectCalm(peer);
});

it('ends a connection whose windows that are none make us reset its streams', async () => {
  const peer = new RawPeer({ acceptor: new EchoAcceptor() });
  await flood(peer, 3_000, (index) =>
    Buffer.concat([open(index * 2 + 1), frame(WINDOW_UPDATE, 0, index * 2 + 1, uint32(0))]),
  );
  await expectCalm(peer);
});

it.each([
  ['PING', frame(PING, 0, 0, '12345678')],
  ['SETTINGS', frame(SETTINGS, 0, 0)],
  ['SETTINGS acknowledgements', frame(SETTINGS, ACK, 0)],
  ['PRIORITY', frame(PRIORITY, 0, 1, Buffer.from([0, 0, 0, 3, 0]))],
  ['GOAWAY', frame(GOAWAY, 0, 0, uint32(0, 0))],
  ['empty DATA', frame(DATA, 0, 1)],
  ['DATA that is padding only', frame(DATA, PADDED, 1, Buffer.from([3, 0, 0, 0]))],
  ['WINDOW_UPDATE of the connection', frame(WINDOW_UPDATE, 0, 0, uint32(1))],
  ['WINDOW_UPDATE of a stream', frame(WINDOW_UPDATE, 0, 1, uint32(1))],
  ['RST_STREAM of a stream that has ended', frame(RST_STREAM, 0, 1, uint32(8))],
  ['unknown frames', frame(0xee, 0, 0, 'x')],
])('ends a connection that floods us with %s', async (_name, piece) => {
  const peer = new RawPeer({ acceptor: new EchoAcceptor() });
  peer.send(open());
  await flood(peer, 3_000, () => piece);
  await expectCalm(peer);
});

it('takes as many WINDOW_UPDATEs as a reader of what we send has reason for', async () => {
  const limits = { controlFrames: { burst: 10, perSecond: 0 } };
  const peer = new RawPeer({ acceptor: new EchoAcceptor('x'.repeat(100_000)), limits });
  peer.send(whole(1));
  // Seven frames, and each of them read in five pieces that are said twice.
  const updates = Array.from({ length: 70 }, (_none, index) => frame(WINDOW_UPDATE, 0, index % 2, uint32(1_000)));
  peer.send(...updates);
  await peer.ping();
  expect(peer.goAway).toBeUndefined();
});

it('ends a connection that sets thousands of settings in one frame', async () => {
  const peer = new RawPeer({ acceptor: new EchoAcceptor() });
  const settings = Array.from({ length: 2_000 }, () => [1, 4_096] as const);
  peer.send(frame(SETTINGS, 0, 0, settingsPayload(...settings)));
  await expectCalm(peer);
});

it('ends a connection that floods us with CONTINUATION, empty or not', async () => {
  for (const bytes of [0, 1_000, 16_384]) {
    const peer = new RawPeer({ acceptor: new EchoAcceptor() });
    peer.send(frame(HEADERS, END_STREAM, 1, plainBlock(requestFields())));
    await flood(peer, 1_000, () => frame(CONTINUATION, 0, 1, Buffer.alloc(bytes, 0x82)));
    await expectCalm(peer);
    expect(peer.frames.filter(({ type }) => type === GOAWAY)).toHaveLength(1);
  }
});

it('keeps no more of a header bomb than its limit, and the connection goes on', async () => {
  const acceptor = new EchoAcceptor();
  const peer = new RawPeer({ acceptor });
  // A field of 4,000 bytes into the table, and 10,000 indexes of one byte that all mean it: 40 MB.
  const value = Buffer.alloc(4_000, 0x61);
  const field = Buffer.concat([Buffer.from([0x40, 1, 0x78, 0x7f, 0xa1, 0x1e]), value]);
  const bomb = Buffer.concat([plainBlock(requestFields()), field, Buffer.alloc(10_000, 0x80 | 62)]);
  peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, bomb), whole(3));
  await peer.until(() => peer.bodyOf(3) === 'answer');
  expect(acceptor.lists[0]?.isTooLarge).toBe(true);
  const kept = acceptor.lists[0]?.fields.reduce((total, each) => total + each.bytes, 0) ?? 0;
  expect(kept).toBeLessThanOrEqual(wireLimits.headerListBytesMax);
});

it('resets streams whose answers the peer leaves no window for', async () => {
  const acceptor = new EchoAcceptor();
  const peer = new RawPeer({ acceptor, settings: [[initialWindow, 0]] });
  peer.send(...odd(10).map((id) => whole(id)));
  await peer.ping();
  for (let waitedMs = 0; waitedMs < 2 * wireLimits.stallMsMax; waitedMs += 5_000) {
    peer.clock.advance(5_000);
    await peer.ping();
  }
  expect(odd(10).map((id) => peer.resetOf(id))).toEqual(odd(10).map(() => 'ENHANCE_YOUR_CALM'));
  expect(peer.waitingBytes).toBe(0);
});

it('holds no more than it may for windows that are not opened', async () => {
  const peer = new RawPeer({
    acceptor: new EchoAcceptor('x'.repeat(1_000)),
    limits: { heldBytesMax: 4_500 },
    settings: [[initialWindow, 0]],
  });
  peer.send(...odd(10).map((id) => whole(id)));
  await peer.ping();
  expect(peer.waitingBytes).toBeLessThanOrEqual(4_500);
  expect(odd(10).filter((id) => peer.resetOf(id) === 'ENHANCE_YOUR_CALM')).toHaveLength(6);
});

it('holds no more for all connections together than it may', async () => {
  const budget = new ByteBudget(4_500 + 5 * streamBytes);
  const peers = Array.from(
    { length: 3 },
    () => new RawPeer({ acceptor: new EchoAcceptor('x'.repeat(1_000)), settings: [[initialWindow, 0]], budget }),
  );
  for (const peer of peers) {
    peer.send(whole(1), whole(3));
    await peer.ping();
  }
  expect(peers.map((peer) => peer.waitingBytes)).toEqual([2_000, 2_000, 0]);
  expect(peers[2]!.resetOf(3)).toBe('ENHANCE_YOUR_CALM');
  // What one gives back, the others may have.
  peers[0]!.destroy();
  await peers[0]!.untilClosed();
  peers[2]!.send(whole(5));
  await peers[2]!.ping();
  expect(peers[2]!.waitingBytes).toBe(1_000);
});

it('ends a connection that goes on asking for more than is held for it', async () => {
  const peer = new RawPeer({
    acceptor: new EchoAcceptor('x'.repeat(1_000)),
    limits: { heldBytesMax: 4_500 },
    settings: [[initialWindow, 0]],
  });
  await flood(peer, 3_000, (index) => whole(index * 2 + 1));
  await expectCalm(peer);
});

it('ends a connection that goes on sending header lists above the limit', async () => {
  const limits = { headerListBytesMax: 500, resets: { burst: 100, perSecond: 1 } };
  const peer = new RawPeer({ acceptor: new EchoAcceptor(), limits });
  const large = plainBlock([...requestFields(), ['x-long', 'x'.repeat(500)]]);
  await flood(peer, 1_000, (index) => frame(HEADERS, END_HEADERS | END_STREAM, index * 2 + 1, large));
  await expectCalm(peer);
});

it('stops taking requests from a peer that does not read, and gives it up in the end', async () => {
  const acceptor = new EchoAcceptor('x'.repeat(10_000));
  const limits = { heldBytesMax: 4_000_000 };
  const peer = new RawPeer({ acceptor, limits, settings: [[initialWindow, 0x7fffffff]] });
  peer.send(frame(frameTypes.WINDOW_UPDATE, 0, 0, uint32(0x7fff0000 - 65_535)));
  await peer.ping();
  peer.stopReading();
  for (const id of odd(5_000)) {
    peer.send(whole(id));
    if (id % 500 === 1) await new Promise(setImmediate);
  }
  // 50 MB were asked for.
  expect(acceptor.lists.length).toBeLessThan(1_000);
  expect(peer.waitingBytes).toBeLessThan(limits.heldBytesMax);
  peer.clock.advance(3 * wireLimits.stallMsMax);
  await peer.untilClosed();
});

it('sends nothing but its own limit to a peer that gives it a huge window', async () => {
  const peer = new RawPeer({
    acceptor: new EchoAcceptor('x'.repeat(2_000_000)),
    settings: [[initialWindow, 0x7fffffff]],
  });
  peer.send(frame(frameTypes.WINDOW_UPDATE, 0, 0, uint32(0x7fff0000)));
  peer.stopReading();
  peer.send(whole(1));
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  // The rest waits in the stream, not in the socket.
  expect(peer.connection.backlogBytes).toBeLessThanOrEqual(wireLimits.backlogBytesMax + 16 * 1_024);
  expect(peer.connection.queuedBytes).toBeGreaterThan(1_000_000);
});

it('refuses streams while all connections together have as many as memory allows', async () => {
  const budget = new ByteBudget(4 * streamBytes);
  const peers = [0, 1].map(() => new RawPeer({ acceptor: new EchoAcceptor(), budget }));
  peers[0]!.send(open(1), open(3), open(5), open(7));
  await peers[0]!.ping();
  peers[1]!.send(whole(1));
  await peers[1]!.ping();
  expect(peers[1]!.resetOf(1)).toBe('REFUSED_STREAM');
  peers[0]!.destroy();
  await peers[0]!.untilClosed();
  peers[1]!.send(whole(3));
  await peers[1]!.until(() => peers[1]!.bodyOf(3) === 'answer');
});

it('takes the memory of header blocks in many frames from what all connections share, and gives it back', async () => {
  const budget = new ByteBudget(10_000);
  const peers = [0, 1].map(() => new RawPeer({ acceptor: new EchoAcceptor(), budget }));
  const begin = frame(HEADERS, END_STREAM, 1, plainBlock([...requestFields(), ['x-long', 'x'.repeat(3_000)]]));
  peers[0]!.send(begin);
  await new Promise(setImmediate);
  peers[1]!.send(begin);
  await expectCalm(peers[1]!);
  peers[0]!.send(frame(CONTINUATION, END_HEADERS, 1));
  await peers[0]!.until(() => peers[0]!.bodyOf(1) === 'answer');
  expect(budget.take(10_000)).toBe(true);
});

it('gives each of many connections a smaller part of what their sockets may hold', async () => {
  const budget = new ByteBudget(64 * 1_024 + 1_000_000);
  const peers = Array.from({ length: 8 }, () => {
    const settings = [[initialWindow, 0x7fffffff]] as const;
    const peer = new RawPeer({ acceptor: new EchoAcceptor('x'.repeat(120_000)), settings, budget });
    peer.send(frame(frameTypes.WINDOW_UPDATE, 0, 0, uint32(0x7fff0000 - 65_535)));
    peer.stopReading();
    return peer;
  });
  await new Promise(setImmediate);
  for (const peer of peers) peer.send(whole(1), whole(3), whole(5));
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  const backlogBytes = peers.reduce((total, peer) => total + peer.connection.backlogBytes, 0);
  expect(backlogBytes).toBeGreaterThan(0);
  expect(backlogBytes).toBeLessThan(64 * 1_024 + 1_000_000 + peers.length * 16 * 1_024);
});
