import { connect, DebugEvents, Events, type NatsConnection } from 'nats';
import { systemClock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import { natsLimits } from './limits.ts';

export type NatsOptions = {
  /** `nats://host:port`, with `user:password@` where the server wants one. */
  readonly url: string;
  /** What the server shows of us in its monitoring. */
  readonly name: string;
  readonly logger: Logger;
};

/**
 * One connection to NATS, made when a server can be reached and made again whenever it is lost, for ever. Subscriptions live on over
 * a reconnect; what was published or asked meanwhile does not: whoever publishes looks at `isConnected` first, gives every call a
 * deadline, and takes a deadline for "outcome unknown". Disposing closes it at once.
 */
export interface NatsLink extends AsyncDisposable {
  /** Fulfilled when it is connected for the first time; rejects when it is disposed before. Stays the same connection after that. */
  readonly opened: Promise<NatsConnection>;
  /** Whether there is a connection now, as far as is known: a server that fell silent is found out after 1 to 1.5 s. */
  readonly isConnected: boolean;
  /** Calls after each connect (the first one too) and each disconnect. Not called for the state that holds already. */
  onChange(listener: (connected: boolean) => void): Disposable;
}

/** Opens the link; answers at once, connected or not. */
export function connectNats(options: NatsOptions): NatsLink {
  return new ReconnectingLink(options);
}

class ReconnectingLink implements NatsLink {
  readonly opened: Promise<NatsConnection>;
  readonly #options: NatsOptions;
  readonly #closed = new AbortController();
  readonly #listeners = new Set<(connected: boolean) => void>();
  #isConnected = false;

  constructor(options: NatsOptions) {
    this.#options = options;
    this.opened = this.#open();
    // Whoever never asks for the connection must not end the process by its absence.
    this.opened.catch(() => {});
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  onChange(listener: (connected: boolean) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    const connection = await this.opened.catch(() => undefined);
    await connection?.close();
    this.#set(false);
  }

  async #open(): Promise<NatsConnection> {
    const { logger } = this.#options;
    for (let failures = 0; ; failures++) {
      this.#closed.signal.throwIfAborted();
      try {
        const connection = await connect(connectionOptions(this.#options));
        void this.#follow(connection);
        this.#set(true);
        return connection;
      } catch (error) {
        if (failures === 0) logger.warn({ error }, 'cannot reach NATS; trying again until it can be reached');
        await systemClock.sleep(retryDelayMs(), this.#closed.signal);
      }
    }
  }

  /** Follows the connection's state for as long as it lives. */
  async #follow(connection: NatsConnection): Promise<void> {
    const { logger } = this.#options;
    for await (const { type, data } of connection.status()) {
      if (type === Events.Disconnect) {
        if (this.#isConnected) logger.warn('lost the connection to NATS; making it again');
        this.#set(false);
      } else if (type === Events.Reconnect) {
        logger.info('connected to NATS again');
        this.#set(true);
      } else if (type === DebugEvents.StaleConnection) {
        logger.warn('NATS has fallen silent; closing the connection');
      } else if (type === Events.Error) {
        logger.error({ reason: data }, 'NATS refused something');
      }
    }
    this.#set(false);
  }

  #set(connected: boolean): void {
    if (this.#isConnected === connected) return;
    this.#isConnected = connected;
    for (const listener of this.#listeners) listener(connected);
  }
}

function connectionOptions({ url, name }: NatsOptions): Parameters<typeof connect>[0] {
  const { host, username, password } = new URL(url);
  return {
    servers: host,
    name,
    ...(username === '' ? {} : { user: decodeURIComponent(username), pass: decodeURIComponent(password) }),
    timeout: natsLimits.connectMsMax,
    pingInterval: natsLimits.pingIntervalMs,
    maxPingOut: natsLimits.pingsUnansweredMax,
    maxReconnectAttempts: -1,
    // A password that is being changed, or a server that is still starting, must not end the connection for good.
    ignoreAuthErrorAbort: true,
    reconnectDelayHandler: retryDelayMs,
  };
}

/** Spread, so that a thousand sidecars do not return in one moment. */
function retryDelayMs(): number {
  const { retryMsMin, retryMsMax } = natsLimits;
  return retryMsMin + Math.random() * (retryMsMax - retryMsMin);
}
