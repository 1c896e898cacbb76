import { BufferPool } from '../../sidecar/wire/buffer-pool.ts';
import { ByteBudget } from '../../sidecar/wire/byte-budget.ts';
import { Connection } from '../../sidecar/wire/connection.ts';
import type { StreamAcceptor } from '../../sidecar/wire/connection-options.ts';
import { repeatedByClient, repeatedByServer } from '../../sidecar/wire/grpc/fields.ts';
import { outputBufferBytes, streamBytes, wireLimits, type WireLimits } from '../../sidecar/wire/limits.ts';
import { Turn } from '../../sidecar/wire/turn.ts';
import { FakeAlarmClock } from '../fakes/fake-alarm-clock.ts';
import { seededRandom } from '../fakes/seeded-random.ts';
import type { MemorySocket } from '../support/sidecar-wire/memory-socket.ts';

/** Even seeds are frames at random, as they always were, so that one which found something finds it still; odd ones converse. */
export function isConversation(seed: number): boolean {
  return seed % 2 === 1;
}

const pool = new BufferPool({ bytes: outputBufferBytes, keptMax: 4 });
const heldBytesMax = 10_000;
/** With the stream that holds so much; a few more streams do not fit. */
const heldBytesMaxOfAll = heldBytesMax + streamBytes;

/** Small enough for mutated frames to reach. */
export const fuzzLimits: WireLimits = { ...wireLimits, heldBytesMax, heldBytesMaxOfAll };

/** Of conversations by the RFC: room for all their calls, and less patience, which few of them would spend otherwise. */
const conversationLimits: WireLimits = {
  ...fuzzLimits,
  heldBytesMaxOfAll: 4 * heldBytesMaxOfAll,
  resets: { burst: 6, perSecond: 33 },
  controlFrames: { burst: 40, perSecond: 100 },
};

/** What one life of fuzzed connections happens in, made of its seed alone: no time, no socket, no turn of the loop. */
export class FuzzStage {
  readonly random: () => number;
  readonly clock = new FakeAlarmClock();
  readonly schedule: (run: () => void) => void;
  readonly #scheduled: (() => void)[] = [];
  readonly #limits: WireLimits;
  readonly #budget: ByteBudget;
  readonly #turn: Turn;
  readonly #connections: Connection[] = [];

  constructor(seed: number) {
    this.random = seededRandom(seed);
    this.#limits = isConversation(seed) ? conversationLimits : fuzzLimits;
    this.#budget = new ByteBudget(this.#limits.heldBytesMaxOfAll);
    this.schedule = (run) => void this.#scheduled.push(run);
    this.#turn = new Turn(this.schedule);
  }

  connection(socket: MemorySocket, acceptor: StreamAcceptor | undefined): Connection {
    const connection = new Connection({
      socket: socket.asDuplex(),
      acceptor,
      limits: this.#limits,
      clock: this.clock,
      turn: this.#turn,
      pool,
      budget: this.#budget,
      repeated: acceptor === undefined ? new Set(repeatedByClient) : repeatedByServer,
      onClosed: () => {},
    });
    this.#connections.push(connection);
    return connection;
  }

  chance(share: number): boolean {
    return this.random() < share;
  }

  below(count: number): number {
    return Math.floor(this.random() * count);
  }

  /** The end of a turn of the loop. */
  endTurn(): void {
    for (const run of this.#scheduled.splice(0)) run();
  }

  /** Lets some time pass, and sometimes lets the socket stick for a while. */
  disturb(socket: MemorySocket): void {
    if (this.chance(0.1)) this.endTurn();
    if (this.chance(0.05)) socket.stick();
    else if (this.chance(0.1)) socket.drain();
    if (this.chance(0.02)) this.clock.advance(this.random() * 20);
  }

  /** The end of everything; fails when something is held after it. */
  close(...sockets: readonly MemorySocket[]): void {
    this.endTurn();
    this.clock.advance(60_000);
    this.endTurn();
    for (const socket of sockets) socket.destroy();
    this.endTurn();
    for (const connection of this.#connections)
      if (connection.hasStreams || connection.queuedBytes !== 0) throw new Error('something is held after the end');
    if (!this.#budget.take(this.#limits.heldBytesMaxOfAll)) throw new Error('the budget has not got everything back');
    if (this.clock.armedCount !== 0) throw new Error('an alarm is left behind');
  }
}
