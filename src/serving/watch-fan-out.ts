import type { Clock } from '../platform/clock.ts';
import { DeadlineWheel } from '../platform/deadline-wheel.ts';
import { Turns, type Schedule } from '../platform/turns.ts';
import { watchLimits } from './limits.ts';
import { LogPages } from './log-pages.ts';
import { SharedEncodings } from './scope-feed.ts';
import { TenantWatchers, type Joining } from './tenant-watchers.ts';
import { shuttingDown } from './watch-errors.ts';
import type { WatchedTenant, WatchSource } from './watch-source.ts';
import type { Watcher } from './watcher.ts';

export type WatchFanOutOptions = {
  readonly source: WatchSource;
  readonly clock: Clock;
  readonly schedule: Schedule;
  /** A watcher that takes nothing for so long while something waits for it is cut off, ms. */
  readonly stallMsMax: number;
};

/** A watcher that is served; disposing says that its client has gone. */
export type Joined = Disposable;

/** All watchers of a process: one timer wheel, one scheduler and one set of encodings for all of them. */
export class WatchFanOut {
  readonly logPages: LogPages;
  readonly #options: WatchFanOutOptions;
  readonly #tenants = new Map<WatchedTenant, TenantWatchers>();
  readonly #turns: Turns;
  readonly #wheel: DeadlineWheel<Watcher>;
  readonly #encodings = new SharedEncodings();
  #closing = false;

  constructor(options: WatchFanOutOptions) {
    const { source, clock, schedule } = options;
    this.#options = options;
    this.#turns = new Turns({ monotonicMs: () => clock.monotonicMs(), schedule, sliceMsMax: watchLimits.sliceMsMax });
    this.#wheel = new DeadlineWheel({ clock, tickMs: watchLimits.tickMs, onDue: (watcher) => watcher.onDue() });
    this.logPages = new LogPages((tenant, from, limit) => source.older(tenant, from, limit));
  }

  /** Takes a watcher in. Throws when the server shuts down. */
  join(name: string, tenant: WatchedTenant, joining: Joining): Joined {
    if (this.#closing) throw shuttingDown();
    const watchers = this.#watchersOf(name, tenant);
    const watcher = watchers.join(joining);
    return { [Symbol.dispose]: () => watchers.leave(watcher) };
  }

  /** Ends every watch, and takes no more. */
  close(): void {
    this.#closing = true;
    for (const watchers of this.#tenants.values()) watchers.close(shuttingDown());
  }

  #watchersOf(name: string, tenant: WatchedTenant): TenantWatchers {
    const held = this.#tenants.get(tenant);
    if (held !== undefined && held.window === tenant.window) return held;
    const watchers: TenantWatchers = new TenantWatchers({
      name,
      tenant,
      clock: this.#options.clock,
      turns: this.#turns,
      wheel: this.#wheel,
      encodings: this.#encodings,
      logPages: this.logPages,
      stallMsMax: this.#options.stallMsMax,
      onEmpty: () => {
        watchers[Symbol.dispose]();
        // Those of a history that was replaced have made room for others already.
        if (this.#tenants.get(tenant) === watchers) this.#tenants.delete(tenant);
      },
    });
    this.#tenants.set(tenant, watchers);
    return watchers;
  }
}
