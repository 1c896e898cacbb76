import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { ChangeRetention, RetentionLease } from '../ports/change-retention.ts';
import { retentionLimits } from './limits.ts';

export type HistoryRetentionOptions = {
  readonly retention: ChangeRetention;
  /** How long changes and usage are kept at least, ms. */
  readonly keepMs: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
};

/**
 * Removes what is older than the retention, now and then, in steps small enough that nobody waits for them. Every replica
 * runs one; a sweep that finds another at work leaves it to that one.
 */
export class HistoryRetention {
  readonly #options: HistoryRetentionOptions;
  readonly #stopped = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: HistoryRetentionOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    const { clock, random, logger } = this.#options;
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      // At any moment of the interval: replicas that start together do not sweep together, and one that restarts often sweeps too.
      await clock.sleep(retentionLimits.sweepIntervalMs * random(), signal);
      if (signal.aborted) return;
      try {
        await this.sweep();
      } catch (error) {
        // The next sweep goes on where this one stopped.
        logger.warn({ error }, 'cannot remove old changes now');
      }
    }
  }

  /** Removes everything that may be removed now. */
  async sweep(): Promise<void> {
    const { retention, keepMs, logger } = this.#options;
    await retention.exclusively(async (lease) => {
      const replies = await this.#repeat((limit) => lease.removeReplies(limit));
      let changes = 0;
      for (const tenant of await lease.tenants()) {
        if (this.#stopped.signal.aborted) break;
        changes += await this.#removeChanges(lease, tenant);
      }
      const usage = await this.#repeat((limit) => lease.removeUsage({ keepMs, limit }));
      if (changes > 0 || replies > 0 || usage > 0)
        logger.info({ changes, replies, usage }, 'removed what is older than its retention');
    });
  }

  #removeChanges(lease: RetentionLease, tenant: string): Promise<number> {
    const { keepMs } = this.#options;
    return this.#repeat((limit) => lease.removeChanges(tenant, { keepMs, limit }));
  }

  /** Steps until one finds nothing, with pauses in which others have the database to themselves. */
  async #repeat(step: (limit: number) => Promise<number>): Promise<number> {
    const { signal } = this.#stopped;
    let removed = 0;
    while (!signal.aborted) {
      const count = await step(retentionLimits.rowsPerStep);
      if (count === 0) break;
      removed += count;
      await this.#options.clock.sleep(retentionLimits.pauseMs, signal);
    }
    return removed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }
}
