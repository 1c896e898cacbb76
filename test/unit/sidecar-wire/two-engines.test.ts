import { duplexPair, type Duplex } from 'node:stream';
import { expect, it } from 'vitest';
import { BufferPool } from '../../../sidecar/wire/buffer-pool.ts';
import { ByteBudget } from '../../../sidecar/wire/byte-budget.ts';
import { Connection } from '../../../sidecar/wire/connection.ts';
import type { StreamAcceptor } from '../../../sidecar/wire/connection-options.ts';
import { HeaderField } from '../../../sidecar/wire/hpack/header-field.ts';
import { outputBufferBytes, wireLimits } from '../../../sidecar/wire/limits.ts';
import type { Stream, StreamConsumer } from '../../../sidecar/wire/stream.ts';
import { Turn } from '../../../sidecar/wire/turn.ts';
import { FakeAlarmClock } from '../../fakes/fake-alarm-clock.ts';
import { requestFields } from '../../support/sidecar-wire/raw-peer.ts';

const bytes = 4_000_000;
// Windows that hold everything: only the socket is in the way.
const limits = { ...wireLimits, streamWindowBytes: 2 * bytes, connectionWindowBytes: 2 * bytes };

function connect(socket: Duplex, acceptor: StreamAcceptor | undefined): Connection {
  return new Connection({
    socket,
    acceptor,
    limits,
    clock: new FakeAlarmClock(),
    turn: new Turn((run) => void setImmediate(run)),
    pool: new BufferPool({ bytes: outputBufferBytes, keptMax: 4 }),
    budget: new ByteBudget(limits.heldBytesMaxOfAll),
    repeated: new Set(),
    onClosed: () => {},
  });
}

/** Counts what comes on a stream. */
class Counter implements StreamConsumer {
  received = 0;
  stream: Stream | undefined;

  headers(): void {}
  reset(): void {}
  drained(): void {}

  data(_buffer: Buffer, start: number, end: number): void {
    this.received += end - start;
    this.stream?.used(end - start);
  }
}

it('two engines that are full of data for each other both go on reading', async () => {
  const [near, far] = duplexPair();
  const [atServer, atClient] = [new Counter(), new Counter()];
  const server = connect(near, {
    accept: (stream) => {
      atServer.stream = stream;
      stream.consumer = atServer;
    },
  });
  const client = connect(far, undefined);
  const fields = requestFields().map(([name, value]) => new HeaderField(name, value));
  atClient.stream = client.open(fields, false, atClient);
  for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
  atServer.stream?.sendHeaders([new HeaderField(':status', '200')], false);
  atClient.stream.sendData(Buffer.alloc(bytes), false);
  atServer.stream?.sendData(Buffer.alloc(bytes), false);
  const isDone = (): boolean => atServer.received === bytes && atClient.received === bytes;
  for (let turn = 0; turn < 2_000 && !isDone(); turn++) await new Promise(setImmediate);
  expect([atServer.received, atClient.received]).toEqual([bytes, bytes]);
  client.end();
  server.end();
});
