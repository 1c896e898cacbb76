import type { Duplex } from 'node:stream';
import type { AlarmClock } from './alarm.ts';
import { BufferPool } from './buffer-pool.ts';
import { ByteBudget } from './byte-budget.ts';
import { Connection } from './connection.ts';
import { outputBufferBytes, outputBuffersKept, type WireLimits } from './limits.ts';
import type { Repeated } from './hpack/header-encoder.ts';
import { Reconnecting, type ReconnectLimits } from './reconnecting.ts';
import { type AwaitsRoom, RoomQueue } from './room-queue.ts';
import type { Surroundings } from './surroundings.ts';
import { type Flushable, type FlushQueue, Turn, type Schedule } from './turn.ts';

/** A socket; one of the runtime's keeps the process alive until it is told not to. */
export type ClientSocket = Duplex & { ref?(): unknown; unref?(): unknown };

export type WireClientOptions = {
  readonly clock: AlarmClock;
  readonly schedule: Schedule;
  /**
   * Calls back once what runs now has ended, with the promises that wait for it: `process.nextTick`. Not given: `schedule` serves
   * instead, for all.
   */
  readonly scheduleSoon?: Schedule | undefined;
  readonly limits: WireLimits;
  /** Header fields that the client sends again and again. */
  readonly repeated: Repeated;
  /** Makes a socket to the server, connected or about to be. */
  readonly connect: () => ClientSocket;
  /** Not given: it connects as often as it is asked to, for a server that is known to be there. */
  /**
   * How many streams a server is taken to allow before it has said so. Not given: any number, of a server that is known to; of
   * another one the calls beyond its limit would be refused.
   */
  readonly streamsMaxAssumed?: number | undefined;
  readonly reconnect?: (ReconnectLimits & { readonly random: () => number }) | undefined;
};

/**
 * A client of one server: one connection, made when it is needed first, and more when those that there are take no more
 * streams. A connection without streams keeps no process alive.
 */
export class WireClient implements Disposable {
  readonly #options: WireClientOptions;
  readonly #surroundings: Omit<Surroundings, 'turn'>;
  readonly #turn: Turn;
  readonly #soon: Turn;
  readonly #reconnecting: Reconnecting | undefined;
  readonly #open = new Set<Connection>();
  readonly #queue: RoomQueue;
  #current: Connection | undefined;
  #isClosed = false;
  #lastError: Error | undefined;

  constructor(options: WireClientOptions) {
    this.#options = options;
    const { limits, clock, schedule, repeated, reconnect } = options;
    const pool = new BufferPool({ bytes: outputBufferBytes, keptMax: outputBuffersKept });
    const budget = new ByteBudget(limits.heldBytesMaxOfAll);
    this.#surroundings = { limits, clock, repeated, pool, budget };
    this.#turn = new Turn(schedule);
    this.#soon = options.scheduleSoon === undefined ? this.#turn : new Turn(options.scheduleSoon);
    this.#queue = new RoomQueue({
      waitingMax: limits.waitingMax,
      connection: () => this.#withRoom(),
      isWorthWaiting: () => this.#isWorthWaiting,
      whyNone: () => this.whyNone,
    });
    if (reconnect !== undefined)
      this.#reconnecting = new Reconnecting({
        limits: reconnect,
        random: reconnect.random,
        monotonicMs: () => clock.monotonicMs(),
      });
  }

  /** Why connections were lost, the last time that one was. */
  get lastError(): Error | undefined {
    return this.#lastError;
  }

  /** A connection that takes a stream; undefined: there is none now, see `whenRoom` and `whyNone`. */
  connection(): Connection | undefined {
    return this.#queue.isEmpty && !this.#isClosed ? this.#withRoom() : undefined;
  }

  #withRoom(): Connection | undefined {
    if (this.#current !== undefined && this.#current.streamsLeft > 0) return this.#current;
    for (const connection of this.#open) if (connection.streamsLeft > 0) return (this.#current = connection);
    return this.#mayConnect() ? (this.#current = this.#connect()) : undefined;
  }

  /** Not while another has still to say what it takes: it may be all. */
  #mayConnect(): boolean {
    const { streamsMaxAssumed } = this.#options;
    if (this.#isClosed || this.#isFull) return false;
    if (streamsMaxAssumed !== undefined)
      for (const { state, hasHeard } of this.#open) if (state === 'serving' && !hasHeard) return false;
    return this.#reconnecting?.mayTry !== false;
  }

  get #isFull(): boolean {
    let serving = 0;
    for (const { state } of this.#open) if (state === 'serving') serving++;
    return serving >= this.#options.limits.connectionsMax;
  }

  get #isWorthWaiting(): boolean {
    if (this.#isFull && !this.#isClosed) return true;
    for (const { state } of this.#open) if (state === 'serving') return true;
    return false;
  }

  /** Lets something wait for a stream, after `connection` answered that there is none; false: see `whyNone`. */
  whenRoom(waiting: AwaitsRoom): boolean {
    return !this.#isClosed && this.#queue.add(waiting);
  }

  stopWaiting(waiting: AwaitsRoom): void {
    this.#queue.delete(waiting);
  }

  /** Why there is no connection. */
  get whyNone(): string {
    if (this.#isClosed) return 'the client is closed';
    if (this.#isWorthWaiting) return 'there are as many calls under way as there may be';
    return `no connection: ${this.#lastError?.message ?? 'the server closed the last one'}`;
  }

  #connect(): Connection {
    const socket = this.#options.connect();
    // Before the connection hears of it: then calls can be told why they are lost.
    socket.on('error', (error: Error) => (this.#lastError = error));
    const queue = new BurstQueue(this.#soon, this.#turn);
    const connection: Connection = new Connection({
      ...this.#surroundings,
      socket,
      turn: queue,
      acceptor: undefined,
      streamsMaxAssumed: this.#options.streamsMaxAssumed,
      onRoom: () => {
        if (!this.#queue.isEmpty) this.#queue.changed();
      },
      onBusy: (isBusy) => {
        if (isBusy) queue.begin();
        if (isBusy) socket.ref?.();
        else socket.unref?.();
        if (!isBusy && this.#isClosed) connection.end();
      },
      onClosed: () => {
        this.#open.delete(connection);
        if (this.#current === connection) this.#current = undefined;
        if (connection.hasHeard) this.#reconnecting?.succeeded();
        else this.#reconnecting?.failed();
        if (!this.#queue.isEmpty) this.#queue.changed();
      },
    });
    this.#open.add(connection);
    return connection;
  }

  /** Takes no more streams; those under way go on to their end. */
  close(): void {
    this.#isClosed = true;
    this.#current = undefined;
    // Without a GOAWAY before the last has ended: it would tell of streams of the server's, and Node's http2 ends ours for it.
    for (const connection of this.#open) if (!connection.hasStreams) connection.end();
  }

  /** Ends everything now. */
  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#current = undefined;
    for (const connection of this.#open) connection.end();
  }
}

/**
 * Nagle's rule (RFC 896) by turns of the event loop: what begins while nothing is under way goes out as soon as its caller has said
 * all, for it waits alone; the rest at the end of the turn, all in one write.
 */
class BurstQueue implements FlushQueue {
  readonly #soon: FlushQueue;
  readonly #later: FlushQueue;
  #hasBegun = false;

  constructor(soon: FlushQueue, later: FlushQueue) {
    this.#soon = soon;
    this.#later = later;
  }

  /** The first stream begins where there is none. */
  begin(): void {
    this.#hasBegun = true;
  }

  add(flushable: Flushable): void {
    if (this.#hasBegun) this.#soon.add(flushable);
    else this.#later.add(flushable);
    this.#hasBegun = false;
  }
}
