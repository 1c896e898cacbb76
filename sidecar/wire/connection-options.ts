import type { Duplex } from 'node:stream';
import type { HeaderList } from './header-list.ts';
import type { Stream } from './stream.ts';
import type { Surroundings } from './surroundings.ts';

/** Takes the streams that a peer opens: gives each a consumer, or resets it. */
export interface StreamAcceptor {
  accept(stream: Stream, list: HeaderList, isLast: boolean): void;
}

export type ConnectionOptions = Surroundings & {
  readonly socket: Duplex;
  /** A server's takes streams, a client's opens them. */
  readonly acceptor: StreamAcceptor | undefined;
  readonly onClosed: (error: Error | undefined) => void;
  /** A client's: told when its first stream begins, and when its last has ended. */
  readonly onBusy?: (isBusy: boolean) => void;
  /** A client's: told when it may have room for a stream that it had not before. */
  readonly onRoom?: () => void;
  /** How many streams a server is taken to allow before it has said so; not given: any number. */
  readonly streamsMaxAssumed?: number | undefined;
};
