import { duplexPair, type Duplex } from 'node:stream';
import { expect, it } from 'vitest';
import { BufferPool } from '../../../sidecar/wire/buffer-pool.ts';
import { ByteBudget } from '../../../sidecar/wire/byte-budget.ts';
import { Connection } from '../../../sidecar/wire/connection.ts';
import type { StreamAcceptor } from '../../../sidecar/wire/connection-options.ts';
import { frameFlags, frameTypes } from '../../../sidecar/wire/frame.ts';
import type { HeaderList } from '../../../sidecar/wire/header-list.ts';
import { HeaderEncoder } from '../../../sidecar/wire/hpack/header-encoder.ts';
import { HeaderField } from '../../../sidecar/wire/hpack/header-field.ts';
import { outputBufferBytes, wireLimits } from '../../../sidecar/wire/limits.ts';
import { passThrough } from '../../../sidecar/wire/pass-through.ts';
import { Turn } from '../../../sidecar/wire/turn.ts';
import { FakeAlarmClock } from '../../fakes/fake-alarm-clock.ts';
import { frame, plainBlock } from '../../support/sidecar-wire/frames.ts';
import { RawPeer, requestFields } from '../../support/sidecar-wire/raw-peer.ts';

const { HEADERS } = frameTypes;
const { END_HEADERS, END_STREAM } = frameFlags;
const secret = new HeaderField('x-secret', 'pin 1234', { isNeverIndexed: true });

function connectionOver(socket: Duplex, acceptor: StreamAcceptor | undefined): Connection {
  return new Connection({
    socket,
    acceptor,
    limits: wireLimits,
    clock: new FakeAlarmClock(),
    turn: new Turn((run) => void setImmediate(run)),
    pool: new BufferPool({ bytes: outputBufferBytes, keptMax: 4 }),
    budget: new ByteBudget(wireLimits.heldBytesMaxOfAll),
    repeated: new Set([secret]),
    onClosed: () => {},
  });
}

/** RFC 7541 §7.1.3: an intermediary must keep the representation, both ways. */
it('passes fields that are never to be indexed on as such, both ways', async () => {
  const [near, far] = duplexPair();
  const lists: HeaderList[] = [];
  connectionOver(far, {
    accept: (stream, list) => {
      lists.push(list);
      stream.sendHeaders([new HeaderField(':status', '200'), secret, new HeaderField('x-open', 'any')], true);
    },
  });
  const connection = connectionOver(near, undefined);
  const peer = new RawPeer({
    acceptor: {
      accept: (stream, list, isLast) => passThrough(stream, list, isLast, { connection, backlogBytes: 1_000 }),
    },
  });
  const never = new HeaderEncoder({ tableBytesMax: 4_096, repeated: new Set([secret]) }).encode([secret]);
  const block = Buffer.concat([plainBlock(requestFields('/', ['x-open', 'any'])), never]);
  peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, block));
  await peer.until((frames) => frames.some(({ type }) => type === HEADERS));
  const flags = (list: HeaderList | undefined): unknown =>
    list?.fields.filter(({ name }) => name.startsWith('x-')).map(({ name, isNeverIndexed }) => [name, isNeverIndexed]);
  expect(flags(lists[0])).toEqual([
    ['x-open', false],
    ['x-secret', true],
  ]);
  const answer = peer.frames.find(({ type }) => type === HEADERS)?.payload;
  // A literal with a new name, never indexed: 0x10.
  expect(answer?.includes(Buffer.concat([Buffer.from([0x10, 8]), Buffer.from('x-secret')]))).toBe(true);
  expect(answer?.includes(Buffer.concat([Buffer.from([0x00, 6]), Buffer.from('x-open')]))).toBe(true);
});

it('never puts such a field into a table, however often it comes', () => {
  const encoder = new HeaderEncoder({ tableBytesMax: 4_096, repeated: new Set([secret]) });
  const first = Buffer.from(encoder.encode([secret]));
  expect(first[0]).toBe(0x10);
  expect(Buffer.from(encoder.encode([secret])).equals(first)).toBe(true);
});
