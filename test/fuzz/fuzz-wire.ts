import { BufferPool } from '../../sidecar/wire/buffer-pool.ts';
import { ByteBudget } from '../../sidecar/wire/byte-budget.ts';
import { Connection } from '../../sidecar/wire/connection.ts';
import { errorNameOf } from '../../sidecar/wire/error-code.ts';
import { frameTypes } from '../../sidecar/wire/frame.ts';
import { repeatedByServer } from '../../sidecar/wire/grpc/fields.ts';
import { GrpcAcceptor } from '../../sidecar/wire/grpc/grpc-acceptor.ts';
import type { ServerCall } from '../../sidecar/wire/grpc/server-call.ts';
import { outputBufferBytes, wireLimits } from '../../sidecar/wire/limits.ts';
import { Turn } from '../../sidecar/wire/turn.ts';
import { FakeAlarmClock } from '../fakes/fake-alarm-clock.ts';
import { seededRandom } from '../fakes/seeded-random.ts';
import { FrameSplitter } from '../support/sidecar-wire/frames.ts';
import { MemorySocket } from '../support/sidecar-wire/memory-socket.ts';
import { testMethods } from '../support/sidecar-wire/test-server.ts';
import { FrameMutations } from './frame-mutations.ts';

const pool = new BufferPool({ bytes: outputBufferBytes, keptMax: 4 });
const budget = new ByteBudget(1_000_000);
const seen = { events: [] as string[], calls: [] as ServerCall[] };
const methods = testMethods(seen);

/** What one connection came to, for those who count. */
export type FuzzOutcome = 'alive' | 'ended' | 'refused';

/**
 * One connection of mutated frames, made of its seed alone. Fails when the engine does what it never may: throw, call a fault
 * of the peer its own, write what is no frame, or hold anything after the end.
 */
export function fuzzOnce(seed: number): FuzzOutcome {
  const random = seededRandom(seed);
  const mutations = new FrameMutations(random);
  const clock = new FakeAlarmClock();
  const socket = new MemorySocket();
  const scheduled: (() => void)[] = [];
  const errors: unknown[] = [];
  const connection = new Connection({
    socket: socket.asDuplex(),
    acceptor: new GrpcAcceptor({ methods, passOn: undefined, clock, messageBytesMax: 1_000, backlogBytes: 1_000 }),
    limits: wireLimits,
    clock,
    turn: new Turn((run) => void scheduled.push(run)),
    pool,
    budget,
    repeated: repeatedByServer,
    onClosed: (error) => void errors.push(error),
  });
  for (const piece of mutations.cut(mutations.connection())) socket.receive(piece);
  for (const run of scheduled.splice(0)) run();
  clock.advance(random() * 100);
  const outcome = check(connection, socket);
  clock.advance(60_000);
  for (const run of scheduled.splice(0)) run();
  socket.destroy();
  // What the methods noted is nobody's.
  seen.events.length = seen.calls.length = 0;
  if (connection.hasStreams || connection.queuedBytes !== 0) throw new Error('something is held after the end');
  if (!budget.take(1_000_000)) throw new Error('the budget has not got everything back');
  budget.give(1_000_000);
  if (clock.armedCount !== 0) throw new Error('an alarm is left behind');
  return outcome;
}

function check(connection: Connection, socket: MemorySocket): FuzzOutcome {
  const splitter = new FrameSplitter();
  for (const piece of socket.written) splitter.push(piece);
  if (splitter.restBytes !== 0) throw new Error('the last frame has no end');
  const goAway = splitter.frames.find(({ type }) => type === frameTypes.GOAWAY);
  if (goAway === undefined) return connection.isOver ? 'ended' : 'alive';
  const code = errorNameOf(goAway.payload.readUInt32BE(4));
  if (code === 'INTERNAL_ERROR') throw new Error(`the engine failed: ${goAway.payload.toString('utf8', 8)}`);
  return code === 'NO_ERROR' ? 'ended' : 'refused';
}
