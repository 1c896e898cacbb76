import { expect, it } from 'vitest';
import { frameFlags, frameTypes } from '../../../sidecar/wire/frame.ts';
import { GrpcClient } from '../../../sidecar/wire/grpc/grpc-client.ts';
import { wireLimits } from '../../../sidecar/wire/limits.ts';
import { FakeAlarmClock } from '../../fakes/fake-alarm-clock.ts';
import { frame, plainBlock } from '../../support/sidecar-wire/frames.ts';
import { MemorySocket } from '../../support/sidecar-wire/memory-socket.ts';

const { HEADERS, SETTINGS } = frameTypes;
const { END_HEADERS, END_STREAM } = frameFlags;
const ok = plainBlock([
  [':status', '200'],
  ['content-type', 'application/grpc'],
  ['grpc-status', '0'],
]);

/** A client that is connected and has nothing to do, its turns in the hands of the test. */
function idleClient() {
  const socket = new MemorySocket();
  const soon: (() => void)[] = [];
  const later: (() => void)[] = [];
  const client = new GrpcClient({
    authority: 'peer',
    isSecure: false,
    clock: new FakeAlarmClock(),
    schedule: (run) => void later.push(run),
    scheduleSoon: (run) => void soon.push(run),
    limits: wireLimits,
    messageBytesMax: 1_000,
    connect: () => socket.asDuplex(),
  });
  const call = () => void client.unary('/test.Echo/Any', Buffer.from('a')).catch(() => {});
  const run = (scheduled: (() => void)[]) => scheduled.splice(0).forEach((each) => each());
  call();
  run(soon);
  run(later);
  socket.receive(frame(SETTINGS, 0, 0));
  socket.receive(frame(HEADERS, END_HEADERS | END_STREAM, 1, ok));
  let seen = socket.written.length;
  /** How often the socket was written to since this was asked last. */
  const writes = () => {
    const count = socket.written.length - seen;
    seen = socket.written.length;
    return count;
  };
  return { call, writes, runSoon: () => run(soon), runLater: () => run(later) };
}

it('sends a call that is alone, and those that begin with it, in one write before the event loop goes on', () => {
  const { call, writes, runSoon, runLater } = idleClient();
  for (let index = 0; index < 3; index++) call();
  expect(writes()).toBe(0);
  runSoon();
  expect(writes()).toBe(1);
  runLater();
  expect(writes()).toBe(0);
});

it('sends calls that begin while another is under way in one write at the end of the turn', () => {
  const { call, writes, runSoon, runLater } = idleClient();
  call();
  runSoon();
  expect(writes()).toBe(1);
  for (let index = 0; index < 3; index++) call();
  runSoon();
  expect(writes()).toBe(0);
  runLater();
  expect(writes()).toBe(1);
});
