import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/logger.ts';
import type { LeaseHolder, RelayLease } from '../../ports/relay-lease.ts';
import { relayLimits } from './limits.ts';

export type LeadershipOptions = {
  readonly lease: RelayLease;
  /** This replica, to the others. */
  readonly holder: string;
  readonly clock: Clock;
  readonly logger: Logger;
};

type State =
  | { readonly kind: 'following'; readonly leader: LeaseHolder | undefined }
  | { readonly kind: 'leading'; readonly term: number; readonly untilMs: number };

/**
 * Whether this replica is the one that publishes. Tries for the lease, renews it, and knows by its own clock alone when it must
 * have been lost: a leader that was stopped, or cut off from the database, has stopped leading before another one begins.
 */
export class Leadership {
  readonly #options: LeadershipOptions;
  readonly #stopped = new AbortController();
  readonly #listeners = new Set<() => void>();
  #state: State = { kind: 'following', leader: undefined };
  #termMin = 1;
  #claiming: Promise<void> | undefined;
  #running: Promise<void> | undefined;

  constructor(options: LeadershipOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** The term that this replica leads in, now; undefined: it does not. */
  get term(): number | undefined {
    const state = this.#state;
    return state.kind === 'leading' && this.#options.clock.monotonicMs() < state.untilMs ? state.term : undefined;
  }

  /** Who leads, as far as is known here. */
  get leader(): LeaseHolder | undefined {
    const { term } = this;
    if (term !== undefined) return { holder: this.#options.holder, term };
    return this.#state.kind === 'following' ? this.#state.leader : undefined;
  }

  /** Calls whenever this replica has begun or stopped to lead, or leads in another term. */
  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Asks the database whether this replica leads; false also when there is no answer. */
  async confirm(): Promise<boolean> {
    await this.#claim();
    return this.term !== undefined;
  }

  /** A stream has seen this term already: a database that was restored has forgotten it. Leads in a later one from now on. */
  async outrank(term: number): Promise<void> {
    this.#termMin = Math.max(this.#termMin, term + 1);
    await this.#claim();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      await this.#claim();
      await this.#options.clock.sleep(relayLimits.leaseIntervalMs, signal);
    }
  }

  /** One claim at a time; those who wait for the one under way share the next, which begins after they have called. */
  async #claim(): Promise<void> {
    await this.#claiming;
    this.#claiming ??= this.#ask().finally(() => {
      this.#claiming = undefined;
    });
    await this.#claiming;
  }

  /** Never rejects. */
  async #ask(): Promise<void> {
    const { lease, holder, clock, logger } = this.#options;
    if (this.#stopped.signal.aborted) return;
    const startedAtMs = clock.monotonicMs();
    try {
      const granted = await lease.claim(holder, this.#termMin);
      if (granted.holder !== holder) this.#become({ kind: 'following', leader: granted });
      else if (!this.#stopped.signal.aborted) {
        const untilMs = startedAtMs + lease.ttlMs - relayLimits.leaseMarginMs;
        this.#become({ kind: 'leading', term: granted.term, untilMs });
      }
    } catch (error) {
      const leads = this.term !== undefined;
      if (!leads && this.#state.kind === 'leading') {
        logger.warn({ error }, 'cannot renew the right to publish; it is lost');
        this.#become({ kind: 'following', leader: undefined });
      }
    }
  }

  #become(state: State): void {
    const before = this.#state;
    this.#state = state;
    const termBefore = before.kind === 'leading' ? before.term : undefined;
    const term = state.kind === 'leading' ? state.term : undefined;
    if (term === termBefore) return;
    const { logger, holder } = this.#options;
    if (term !== undefined) logger.info({ holder, term }, 'this replica publishes the change streams');
    else logger.info({ holder, leader: this.leader }, 'this replica no longer publishes');
    for (const listener of this.#listeners) listener();
  }

  /** Gives the right up, so that another replica need not wait for its end. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort();
    await this.#running;
    const { lease, holder, logger } = this.#options;
    if (this.#state.kind !== 'leading') return;
    this.#become({ kind: 'following', leader: undefined });
    await lease
      .release(holder)
      .catch((error: unknown) => logger.warn({ error }, 'could not give up the right to publish'));
  }
}
