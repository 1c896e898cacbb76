import { expect, it } from 'vitest';
import { frameFlags, frameTypes } from '../../../sidecar/wire/frame.ts';
import type { StreamAcceptor } from '../../../sidecar/wire/connection-options.ts';
import { ByteBudget } from '../../../sidecar/wire/byte-budget.ts';
import { wireLimits } from '../../../sidecar/wire/limits.ts';
import { open, whole } from '../../support/sidecar-wire/conformance.ts';
import { EchoAcceptor } from '../../support/sidecar-wire/echo-acceptor.ts';
import { frame, uint32 } from '../../support/sidecar-wire/frames.ts';
import { RawPeer } from '../../support/sidecar-wire/raw-peer.ts';

// RFC 9113 §5.2 and §6.9. A window that is not given back stops a connection after a megabyte, and no single call shows it.

const { DATA, RST_STREAM, WINDOW_UPDATE } = frameTypes;
const { PADDED } = frameFlags;
const { streamWindowBytes, connectionWindowBytes } = wireLimits;
const payload = Buffer.alloc(10_000, 0x61);

/** What the server has given on a stream, or of all streams together, besides what it begins with. */
function givenBytes(peer: RawPeer, streamId: number): number {
  return peer.frames
    .filter((each) => each.type === WINDOW_UPDATE && each.streamId === streamId)
    .reduce((sum, { payload: increment }) => sum + increment.readUInt32BE(0), 0);
}

it('sends no more on all streams together than the window of the connection, and goes on when it grows', async () => {
  const peer = new RawPeer({ acceptor: new EchoAcceptor('x'.repeat(40_000)) });
  const sentBytes = (): number => peer.bodyOf(1).length + peer.bodyOf(3).length;
  peer.send(whole(1), whole(3));
  await peer.until(() => sentBytes() === 65_535);
  await peer.ping();
  expect(sentBytes()).toBe(65_535);
  peer.send(frame(WINDOW_UPDATE, 0, 0, uint32(10_000)));
  await peer.until(() => sentBytes() === 75_535);
  peer.send(frame(WINDOW_UPDATE, 0, 0, uint32(10_000)));
  await peer.until(() => sentBytes() === 80_000);
});

/** A peer that opens all windows for an answer, and the budget of a server with so many connections. */
async function peerAmong(connections: number, answer: string): Promise<RawPeer> {
  const budget = new ByteBudget(wireLimits.heldBytesMaxOfAll);
  for (let count = 1; count < connections; count++) budget.join();
  const peer = new RawPeer({ acceptor: new EchoAcceptor(answer), settings: [[4, 1_000_000]], budget });
  peer.send(frame(WINDOW_UPDATE, 0, 0, uint32(1_000_000)));
  await peer.ping();
  return peer;
}

it('cuts what is sent into whole bytes, however many share the memory of the sockets', async () => {
  const answer = '0123456789'.repeat(50_000);
  const peer = await peerAmong(300, answer);
  peer.send(whole(1));
  await peer.until(() => peer.bodyOf(1).length >= answer.length);
  expect(peer.bodyOf(1)).toBe(answer);
});

it('goes on when its socket has passed on what it held, also where so many share the memory that it holds little', async () => {
  const answer = 'x'.repeat(300_000);
  const peer = await peerAmong(2_048, answer);
  peer.stopReading();
  peer.send(whole(1));
  while (peer.connection.queuedBytes === 0) await new Promise(setImmediate);
  peer.readOn();
  // Nothing else comes from the peer that would make it look again.
  await peer.until(() => peer.bodyOf(1).length >= answer.length);
  expect(peer.bodyOf(1).length).toBe(answer.length);
});

it('reads on from who has read what waited for it, also where so many share the memory that little may wait', async () => {
  const peer = await peerAmong(4_096, 'x'.repeat(4_000));
  peer.stopReading();
  // Each time as much as goes out in one write, so that nothing waits behind it.
  const ids = Array.from({ length: 36 }, (_none, index) => 2 * index + 1);
  for (let from = 0; from < ids.length; from += 9) {
    peer.send(...ids.slice(from, from + 9).map((id) => whole(id)));
    await new Promise(setImmediate);
  }
  peer.readOn();
  await peer.until(() => ids.every((id) => peer.bodyOf(id).length === 4_000));
  expect(peer.goAway).toBeUndefined();
});

it('gives padding back to both windows, as it does what it pads', async () => {
  const peer = new RawPeer({ acceptor: new EchoAcceptor() });
  await peer.ping();
  const before = givenBytes(peer, 0);
  peer.send(open());
  const padded = Buffer.concat([Buffer.from([255, 0x61]), Buffer.alloc(255)]);
  // 2 MB, of which one byte in 257 is data.
  for (let count = 0; count < 8_000; count++) {
    peer.send(frame(DATA, PADDED, 1, padded));
    if (count % 500 === 0) await peer.ping();
  }
  await peer.ping();
  const saidBytes = 8_000 * padded.length;
  expect(givenBytes(peer, 1)).toBeGreaterThan(saidBytes - streamWindowBytes);
  expect(givenBytes(peer, 0) - before).toBeGreaterThan(saidBytes - connectionWindowBytes);
});

/** Streams, one after the other, that say 200 KB each: more than the connection's window in the end. */
async function sayMuch(acceptor: StreamAcceptor, end: (peer: RawPeer, streamId: number) => void): Promise<number> {
  const peer = new RawPeer({ acceptor });
  await peer.ping();
  const before = givenBytes(peer, 0);
  for (let streamId = 1; streamId < 40; streamId += 2) {
    peer.send(open(streamId));
    for (let count = 0; count < 20; count++) peer.data(streamId, payload, 0);
    end(peer, streamId);
    await peer.ping();
  }
  return givenBytes(peer, 0) - before;
}

const saidBytes = 20 * 20 * payload.length;

it('gives back what streams hold that nobody has used, when they end', async () => {
  const holding: StreamAcceptor = {
    accept: (stream) => {
      stream.consumer = { headers: () => {}, data: () => {}, reset: () => {}, drained: () => {} };
    },
  };
  const given = await sayMuch(holding, (peer, id) => peer.send(frame(RST_STREAM, 0, id, uint32(8))));
  expect(given).toBeGreaterThan(saidBytes - connectionWindowBytes);
});

it('gives back what comes for streams that it has reset', async () => {
  const refusing: StreamAcceptor = { accept: (stream) => stream.reset('CANCEL') };
  const given = await sayMuch(refusing, () => {});
  expect(given).toBeGreaterThan(saidBytes - connectionWindowBytes);
});
