import { createServer, type Server } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import type { AlarmClock } from './alarm.ts';
import { BufferPool } from './buffer-pool.ts';
import { ByteBudget } from './byte-budget.ts';
import { Connection } from './connection.ts';
import type { StreamAcceptor } from './connection-options.ts';
import { outputBufferBytes, outputBuffersKept, type WireLimits } from './limits.ts';
import type { Repeated } from './hpack/header-encoder.ts';
import type { Surroundings } from './surroundings.ts';
import { Refusals } from './refusals.ts';
import { Turn, type Schedule } from './turn.ts';

export type WireServerOptions = {
  readonly acceptor: StreamAcceptor;
  readonly clock: AlarmClock;
  readonly schedule: Schedule;
  readonly limits: WireLimits;
  /** Header fields that the server sends again and again. */
  readonly repeated: Repeated;
  /** Told of each connection that ends, and why, if it was not in order. */
  readonly onClosed?: (error: Error | undefined) => void;
  /** Told that there were so many connections for which there was no place; not of each. */
  readonly onRefused?: ((count: number) => void) | undefined;
};

export type WireListening = {
  /** Plain text, if it is not given. */
  readonly tls?: TlsOptions | undefined;
  /** Takes what comes here; that of all addresses, if it is not given. */
  readonly acceptor?: StreamAcceptor | undefined;
};

export type WireAddress = { readonly host: string; readonly port: number } | { readonly path: string };

/** An HTTP/2 server with prior knowledge (RFC 9113 §3.3), or with TLS: whoever connects must speak HTTP/2 at once. */
export class WireServer {
  readonly #options: WireServerOptions;
  readonly #surroundings: Surroundings;
  readonly #connections = new Set<Connection>();
  readonly #servers: Server[] = [];
  readonly #refusals: Refusals;

  constructor(options: WireServerOptions) {
    this.#options = options;
    const { limits, clock, schedule, repeated } = options;
    const pool = new BufferPool({ bytes: outputBufferBytes, keptMax: outputBuffersKept });
    const own = { bytes: limits.ownBytes, countMax: limits.connectionsTakenMax };
    const budget = new ByteBudget(limits.heldBytesMaxOfAll, own);
    this.#refusals = new Refusals(options);
    this.#surroundings = { limits, clock, repeated, pool, budget, turn: new Turn(schedule) };
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** How many connections there was no place for. */
  get refusedCount(): number {
    return this.#refusals.count;
  }

  /** Listens on a host and port, or on the path of a unix socket. Resolves to the port. */
  listen(address: WireAddress, { tls, acceptor }: WireListening = {}): Promise<number> {
    const server =
      tls === undefined
        ? createServer({ noDelay: true }, (socket) => this.#take(socket, acceptor))
        : createTlsServer(this.#securely(tls), (socket) => {
            // RFC 9113 §3.2: over TLS both sides choose HTTP/2 by ALPN, or speak something else.
            if (socket.alpnProtocol === 'h2') this.#take(socket, acceptor);
            else socket.destroy();
          });
    // Also those that shake hands, or are being told to go away.
    server.maxConnections = this.#options.limits.connectionsTakenMax + this.#options.limits.connectionsRefusedMax;
    this.#servers.push(server);
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(address, () => {
        server.off('error', reject);
        const bound = server.address();
        resolve(typeof bound === 'object' && bound !== null ? bound.port : 0);
      });
    });
  }

  #securely(tls: TlsOptions): TlsOptions {
    const { unfinishedMsMax: handshakeTimeout } = this.#options.limits;
    return { minVersion: 'TLSv1.2', handshakeTimeout, ...tls, ALPNProtocols: ['h2'], noDelay: true };
  }

  /** The newest goes: those that are there have calls under way. */
  #take(socket: Duplex, acceptor: StreamAcceptor | undefined): void {
    if (this.#connections.size < this.#options.limits.connectionsTakenMax) this.serve(socket, acceptor);
    else this.#refusals.refuse(socket);
  }

  /** Serves a socket that is connected. */
  serve(socket: Duplex, acceptor: StreamAcceptor = this.#options.acceptor): Connection {
    const { onClosed } = this.#options;
    const connection: Connection = new Connection({
      ...this.#surroundings,
      socket,
      acceptor,
      onClosed: (error) => {
        this.#connections.delete(connection);
        if (this.#connections.size === 0) this.#onEmpty?.();
        onClosed?.(error);
      },
    });
    this.#connections.add(connection);
    return connection;
  }

  #onEmpty: (() => void) | undefined;

  /** Sends the clients that are there elsewhere, or to a new connection; those under way are answered. */
  drainConnections(): void {
    for (const connection of this.#connections) connection.drain();
  }

  /** Takes no more connections and streams; resolves when those that are there have ended. */
  async drain(): Promise<void> {
    for (const server of this.#servers) server.close();
    this.drainConnections();
    if (this.#connections.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
  }

  /** Ends all connections now. */
  close(): void {
    for (const server of this.#servers) server.close();
    for (const connection of this.#connections) connection.end();
  }
}
