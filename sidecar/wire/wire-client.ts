import type { Duplex } from 'node:stream';
import type { AlarmClock } from './alarm.ts';
import { BufferPool } from './buffer-pool.ts';
import { ByteBudget } from './byte-budget.ts';
import { Connection } from './connection.ts';
import { outputBufferBytes, outputBuffersKept, type WireLimits } from './limits.ts';
import type { Repeated } from './hpack/header-encoder.ts';
import { Turn, type Schedule } from './turn.ts';

export type WireClientOptions = {
  readonly clock: AlarmClock;
  readonly schedule: Schedule;
  readonly limits: WireLimits;
  /** Header fields that the client sends again and again. */
  readonly repeated: Repeated;
  /** Makes a socket to the server, connected or about to be. */
  readonly connect: () => Duplex;
};

/** A client of one server: one connection, made when it is needed first, and more when those that there are take no more streams. */
export class WireClient implements Disposable {
  readonly #options: WireClientOptions;
  readonly #pool = new BufferPool({ bytes: outputBufferBytes, keptMax: outputBuffersKept });
  readonly #turn: Turn;
  readonly #budget: ByteBudget;
  readonly #open = new Set<Connection>();
  #current: Connection | undefined;

  constructor(options: WireClientOptions) {
    this.#options = options;
    this.#turn = new Turn(options.schedule);
    this.#budget = new ByteBudget(options.limits.heldBytesMaxOfAll);
  }

  /** A connection that takes a stream; undefined: all are full. */
  connection(): Connection | undefined {
    if (this.#current !== undefined && this.#current.streamsLeft > 0) return this.#current;
    for (const connection of this.#open) if (connection.streamsLeft > 0) return (this.#current = connection);
    if (this.#open.size >= this.#options.limits.connectionsMax) return undefined;
    return (this.#current = this.#connect());
  }

  #connect(): Connection {
    const { limits, clock, repeated, connect } = this.#options;
    const connection: Connection = new Connection({
      limits,
      clock,
      repeated,
      turn: this.#turn,
      pool: this.#pool,
      budget: this.#budget,
      socket: connect(),
      acceptor: undefined,
      onClosed: () => {
        this.#open.delete(connection);
        if (this.#current === connection) this.#current = undefined;
      },
    });
    this.#open.add(connection);
    return connection;
  }

  [Symbol.dispose](): void {
    for (const connection of this.#open) connection.end();
  }
}
