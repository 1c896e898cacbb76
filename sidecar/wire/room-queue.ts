import type { Connection } from './connection.ts';

/** Something that needs a stream, and waits for one. */
export interface AwaitsRoom {
  /** Opens its stream, at once. */
  take(connection: Connection): void;
  /** There will be none. */
  refuse(why: string): void;
}

export type RoomQueueOptions = {
  readonly waitingMax: number;
  readonly connection: () => Connection | undefined;
  /** Whether there will be a connection with room, though there is none now. */
  readonly isWorthWaiting: () => boolean;
  readonly whyNone: () => string;
};

/** What waits while the server takes no more streams of ours (RFC 9113 §5.1.2), in the order in which it came. */
export class RoomQueue {
  readonly #options: RoomQueueOptions;
  readonly #waiting = new Set<AwaitsRoom>();

  constructor(options: RoomQueueOptions) {
    this.#options = options;
  }

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  /** False: it is not worth it, or too many do. */
  add(waiting: AwaitsRoom): boolean {
    const { waitingMax, isWorthWaiting } = this.#options;
    if (this.#waiting.size >= waitingMax || !isWorthWaiting()) return false;
    this.#waiting.add(waiting);
    return true;
  }

  delete(waiting: AwaitsRoom): void {
    this.#waiting.delete(waiting);
  }

  /** A stream has ended, the server has said how many it takes, or a connection has gone. */
  changed(): void {
    const { connection, isWorthWaiting, whyNone } = this.#options;
    for (const waiting of this.#waiting) {
      const free = connection();
      if (free === undefined && isWorthWaiting()) return;
      this.#waiting.delete(waiting);
      if (free === undefined) waiting.refuse(whyNone());
      else waiting.take(free);
    }
  }
}
