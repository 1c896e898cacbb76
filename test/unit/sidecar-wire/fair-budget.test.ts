import { expect, it } from 'vitest';
import { ByteBudget } from '../../../sidecar/wire/byte-budget.ts';
import { frameFlags, frameTypes } from '../../../sidecar/wire/frame.ts';
import { GrpcAcceptor } from '../../../sidecar/wire/grpc/grpc-acceptor.ts';
import type { Method, ServerCall } from '../../../sidecar/wire/grpc/server-call.ts';
import { streamBytes } from '../../../sidecar/wire/limits.ts';
import { FakeAlarmClock } from '../../fakes/fake-alarm-clock.ts';
import { open, whole } from '../../support/sidecar-wire/conformance.ts';
import { EchoAcceptor } from '../../support/sidecar-wire/echo-acceptor.ts';
import { frame, plainBlock, uint32 } from '../../support/sidecar-wire/frames.ts';
import { RawPeer, requestFields } from '../../support/sidecar-wire/raw-peer.ts';
import { messageOf, usualFields } from '../../support/sidecar-wire/spoken-calls.ts';

const { HEADERS, DATA, RST_STREAM, CONTINUATION } = frameTypes;
const { END_HEADERS, END_STREAM } = frameFlags;
const odd = (count: number): number[] => Array.from({ length: count }, (_none, index) => index * 2 + 1);
const own = { bytes: 4 * streamBytes, countMax: 8 };

/** Seven clients that open streams without end until they are refused, and one that has done nothing yet. */
async function startCrowd(budget: ByteBudget): Promise<{ greedy: RawPeer[]; modest: RawPeer }> {
  const peers = Array.from({ length: 8 }, () => new RawPeer({ acceptor: new EchoAcceptor(), budget }));
  const [modest, ...greedy] = peers.toReversed();
  const ids = odd(40);
  for (const peer of greedy) {
    peer.send(...ids.map((id) => open(id)));
    await peer.ping();
    expect(peer.resetOf(ids.at(-1) ?? 0)).toBe('REFUSED_STREAM');
  }
  return { greedy, modest: modest! };
}

it('answers the calls of a client while a few others hold open all that there is', async () => {
  const { modest } = await startCrowd(new ByteBudget(30 * streamBytes, own));
  for (const id of odd(20)) {
    modest.send(whole(id));
    await modest.until(() => modest.bodyOf(id) === 'answer');
  }
  expect(modest.resetOf(39)).toBeUndefined();
});

it('lets a client have its own number of streams at a time, and more as soon as others give up some', async () => {
  const { greedy, modest } = await startCrowd(new ByteBudget(30 * streamBytes, own));
  modest.send(...odd(5).map((id) => open(id)));
  await modest.ping();
  expect(odd(5).map((id) => modest.resetOf(id))).toEqual([...Array(4), 'REFUSED_STREAM']);
  // One of the first, which has what is its own and all that was shared.
  greedy[0]!.destroy();
  await greedy[0]!.untilClosed();
  modest.send(open(11));
  await modest.ping();
  expect(modest.resetOf(11)).toBeUndefined();
});

it('has room for what its own calls hold, while others have taken what is shared', async () => {
  const { modest } = await startCrowd(new ByteBudget(30 * streamBytes, own));
  const block = plainBlock([...requestFields(), ['x-long', 'x'.repeat(1_000)]]);
  modest.send(frame(HEADERS, END_STREAM, 1, block.subarray(0, 500)));
  modest.send(frame(CONTINUATION, END_HEADERS, 1, block.subarray(500)));
  await modest.until(() => modest.bodyOf(1) === 'answer');
  expect(modest.goAway).toBeUndefined();
});

it('has everything back when all have gone', async () => {
  const budget = new ByteBudget(30 * streamBytes, own);
  const { greedy, modest } = await startCrowd(budget);
  modest.send(open(1));
  await modest.ping();
  for (const peer of [...greedy, modest]) {
    peer.destroy();
    await peer.untilClosed();
  }
  expect(budget.take(30 * streamBytes)).toBe(true);
  expect(Array.from({ length: 9 }, () => budget.join())).toEqual([...Array(8).fill(own.bytes), 0]);
});

it('gives nobody for himself what handlers still work with for those that have gone', async () => {
  const calls: ServerCall[] = [];
  const work: Method = {
    requests: 'one',
    handle: (request, call) => {
      if (call.occupy(request.length)) calls.push(call);
    },
  };
  const methods = new Map([['/test.Echo/Work', work]]);
  const clock = new FakeAlarmClock();
  const acceptor = new GrpcAcceptor({ methods, passOn: undefined, clock, messageBytesMax: 9_000, backlogBytes: 100 });
  const budget = new ByteBudget(0, { bytes: 2 * streamBytes, countMax: 2 });
  const block = plainBlock([...requestFields('/test.Echo/Work'), ...usualFields]);
  const call = (id: number): Buffer =>
    Buffer.concat([frame(HEADERS, END_HEADERS, id, block), frame(DATA, END_STREAM, id, messageOf('x'))]);
  // Each comes, has a handler begin to work, and goes.
  for (let index = 0; index < 2; index++) {
    const peer = new RawPeer({ acceptor, budget });
    peer.send(call(1), frame(RST_STREAM, 0, 1, uint32(8)));
    await peer.ping();
    peer.destroy();
    await peer.untilClosed();
  }
  expect(calls).toHaveLength(2);
  const later = new RawPeer({ acceptor, budget });
  later.send(call(1));
  await later.ping();
  expect(later.resetOf(1)).toBe('REFUSED_STREAM');
  // They have ended: there is room for two again.
  for (const each of calls) each.vacate();
  const next = new RawPeer({ acceptor, budget });
  next.send(call(1));
  await next.ping();
  expect(next.resetOf(1)).toBeUndefined();
});
