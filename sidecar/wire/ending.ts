import type { Duplex } from 'node:stream';
import type { Alarm, AlarmClock } from './alarm.ts';
import type { ErrorName } from './error-code.ts';
import type { WireLimits } from './limits.ts';
import type { Output } from './output.ts';
import type { StreamTable } from './stream-table.ts';

/** `draining`: no new streams, those under way go on. `ending`: the last bytes are on their way. */
export type ConnectionState = 'serving' | 'draining' | 'ending' | 'closed';

export type EndingOptions = {
  readonly socket: Duplex;
  readonly clock: AlarmClock;
  readonly limits: WireLimits;
  readonly output: Output;
  readonly streams: StreamTable;
  readonly isServer: boolean;
  /** Whether the peer has said its SETTINGS. */
  readonly hasHeard: () => boolean;
};

/** The PING that follows the first GOAWAY: when its answer comes, the peer has seen both. */
export const goAwayPing = Buffer.from('go away!');
const everyStreamId = 0x7fffffff;

/**
 * How a connection comes to its end. In order (RFC 9113 §6.8): a GOAWAY that refuses nothing, a PING there and back, a GOAWAY
 * with the last stream that will be answered, and the end once all have been. At once: the GOAWAY with its error, and the end.
 */
export class Ending implements Alarm {
  dueMs = 0;
  readonly #options: EndingOptions;
  #state: ConnectionState = 'serving';

  constructor(options: EndingOptions) {
    this.#options = options;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Whether nothing that comes is of interest any more. */
  get isOver(): boolean {
    return this.#state === 'ending' || this.#state === 'closed';
  }

  drain(): void {
    if (this.#state !== 'serving') return;
    this.#state = 'draining';
    this.#options.output.goAway(everyStreamId, 'NO_ERROR');
    this.#options.output.ping(goAwayPing, 0);
    // Who does not answer the PING has had its time.
    this.#arm();
  }

  /** No more streams of ours, for the peer goes away or their ids are spent: a client ends with its last. A server has none. */
  openNoMore(): void {
    if (this.#state === 'serving' && !this.#options.isServer) this.#state = 'draining';
  }

  /** The peer has seen the first GOAWAY. */
  saidFirst(): void {
    const { streams, output } = this.#options;
    if (this.#state !== 'draining' || streams.isLastSaid) return;
    output.goAway(streams.sayLast(), 'NO_ERROR');
    this.endIfDone();
  }

  /** The last stream may have ended. */
  endIfDone(): void {
    const { streams, isServer } = this.#options;
    if (this.#state !== 'draining' || streams.count > 0) return;
    if (!isServer || streams.isLastSaid) this.end('NO_ERROR');
  }

  end(error: ErrorName, reason = ''): void {
    if (this.isOver) return;
    const { socket, output, streams } = this.#options;
    this.#state = 'ending';
    output.goAway(streams.lastFromPeer, error, reason);
    output.flush();
    // Who has not said its SETTINGS may speak no HTTP/2 at all: there was no server.
    const ofStreams = this.#options.hasHeard() ? error : 'CONNECT_ERROR';
    streams.closeAll(error === 'NO_ERROR' ? 'CANCEL' : ofStreams);
    socket.end();
    // Closed with unread bytes, the kernel would reset the connection, and the peer might never see the GOAWAY.
    socket.resume();
    this.#arm();
  }

  /** The socket is closed. */
  closed(): void {
    this.#state = 'closed';
    this.#options.clock.disarm(this);
  }

  #arm(): void {
    const { clock, limits } = this.#options;
    clock.arm(this, clock.monotonicMs() + limits.goAwayMs);
  }

  /** The next step, whatever the peer does. */
  ring(): void {
    if (this.isOver) this.#options.socket.destroy();
    else this.saidFirst();
  }
}
