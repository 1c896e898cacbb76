import type { ServerHttp2Session } from 'node:http2';

export type StreamSharesOptions = {
  /** Calls under way at a time, of all connections together, about: see `StreamShares`. */
  readonly streamsMax: number;
  /** A connection's share is no larger than this, and no smaller. */
  readonly perConnectionMax: number;
  readonly perConnectionMin: number;
};

/**
 * Shares the calls that a server may have under way among its connections: each may open as many streams at a time as its
 * share, and its client keeps the others waiting (RFC 9113 §5.1.2), where they cost the server nothing.
 *
 * All together open `streamsMax` at most, or the smallest share each where that is more; while connections come, for a moment more: a
 * client must hear that its share is smaller before it is held to it, and what is open stays. Rejected: to let streams in and
 * refuse them with a status. 100,000 that came at once were 1 GB before the last one was refused.
 */
export class StreamShares {
  readonly #options: StreamSharesOptions;
  readonly #sessions = new Set<ServerHttp2Session>();
  #share: number;

  constructor(options: StreamSharesOptions) {
    this.#options = options;
    this.#share = options.perConnectionMax;
  }

  /** A connection that has begun with the smallest share. */
  add(session: ServerHttp2Session): void {
    this.#sessions.add(session);
    session.once('close', () => {
      this.#sessions.delete(session);
      this.#divide();
    });
    if (!this.#divide()) this.#tell(session);
  }

  /** By powers of two, so that a connection that comes or goes is seldom news to the others. Whether all were told. */
  #divide(): boolean {
    const { streamsMax, perConnectionMax, perConnectionMin } = this.#options;
    const sharers = 2 ** Math.ceil(Math.log2(Math.max(1, this.#sessions.size)));
    const share = Math.min(perConnectionMax, Math.max(perConnectionMin, Math.floor(streamsMax / sharers)));
    if (share === this.#share) return false;
    this.#share = share;
    for (const session of this.#sessions) this.#tell(session);
    return true;
  }

  #tell(session: ServerHttp2Session): void {
    if (!session.destroyed && !session.closed) session.settings({ maxConcurrentStreams: this.#share });
  }
}
