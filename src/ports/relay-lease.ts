/** Who leads, and since which change of hands. */
export type LeaseHolder = { readonly holder: string; readonly term: number };

/**
 * The right to publish, held by one replica at a time, for a short time, by the clock of the database alone: replicas' dates do
 * not matter. It is no lock: a holder that stops without a word loses it when its time is over.
 *
 * The term rises whenever the right changes hands. A holder must stop by its own monotonic clock `ttlMs` after the beginning of
 * the last `claim` that was answered with its name; what it then still has under way must be refused elsewhere (the stream's
 * sequence numbers).
 */
export interface RelayLease {
  readonly ttlMs: number;
  /**
   * Takes the right if it is free, or keeps it, for `ttlMs` from now; answers who has it after that. The term becomes `termMin` at
   * least: where a restored database has forgotten terms that the stream has seen. Rejects when the database did not answer within
   * a part of `ttlMs`: then nothing is known.
   */
  claim(holder: string, termMin: number): Promise<LeaseHolder>;
  /** Gives it up, if it is this holder's: another one may take it at once. */
  release(holder: string): Promise<void>;
}
