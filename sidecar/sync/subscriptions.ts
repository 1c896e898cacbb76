import { LRUCache } from 'lru-cache';
import type { Scope } from '../config.ts';
import type { Clock } from '../../src/platform/clock.ts';
import { sidecarLimits } from '../limits.ts';
import type { TenantSync } from './tenant-sync.ts';

export type SubscriptionsOptions = {
  readonly scope: Scope;
  /** Begins to follow a tenant. */
  readonly start: (tenant: string) => TenantSync;
  /** A tenant that does not exist is no longer followed: what is held of it can go. */
  readonly release: (tenant: string) => void;
  readonly clock: Clock;
};

/** Whether and how a tenant is followed. */
export type Subscription =
  | { readonly kind: 'followed'; readonly sync: TenantSync }
  /** The control plane said within the last seconds that there is no such tenant. */
  | { readonly kind: 'absent' }
  | { readonly kind: 'out_of_scope' };

/** The tenants that this sidecar follows: those of its scope from the start, others from their first lookup on, if allowed. */
export class Subscriptions implements AsyncDisposable {
  readonly #options: SubscriptionsOptions;
  readonly #syncs = new Map<string, TenantSync>();
  /** Negative cache: names of strangers must neither fill the sidecar nor reach the control plane each time. */
  readonly #absent: LRUCache<string, true>;
  #onDemand = 0;

  constructor(options: SubscriptionsOptions) {
    this.#options = options;
    this.#absent = new LRUCache({
      max: sidecarLimits.unknownTenantsMax,
      ttl: sidecarLimits.unknownTenantTtlMs,
      perf: { now: () => options.clock.monotonicMs() },
      // 0: time is asked for each look; else a timer of the real time would keep it.
      ttlResolution: 0,
    });
    for (const tenant of options.scope.tenants) this.#syncs.set(tenant, options.start(tenant));
  }

  /** The tenant's synchronisation, if it is followed already. */
  followed(tenant: string): TenantSync | undefined {
    return this.#syncs.get(tenant);
  }

  /** How the tenant is followed; begins to, when that is allowed and was not yet so. */
  find(tenant: string): Subscription {
    const sync = this.#syncs.get(tenant);
    if (sync !== undefined) return { kind: 'followed', sync };
    if (this.#absent.has(tenant)) return { kind: 'absent' };
    if (!this.#options.scope.onDemand || this.#onDemand >= sidecarLimits.onDemandTenantsMax)
      return { kind: 'out_of_scope' };
    const started = this.#options.start(tenant);
    this.#syncs.set(tenant, started);
    this.#onDemand++;
    this.#endWhenAbsent(tenant, started);
    return { kind: 'followed', sync: started };
  }

  #endWhenAbsent(tenant: string, sync: TenantSync): void {
    const subscription = sync.subscribe(() => {
      if (sync.state.kind === 'live') subscription[Symbol.dispose]();
      if (sync.state.kind !== 'absent') return;
      subscription[Symbol.dispose]();
      this.#absent.set(tenant, true);
      this.#syncs.delete(tenant);
      this.#onDemand--;
      void sync[Symbol.asyncDispose]();
      this.#options.release(tenant);
    });
  }

  /** Every tenant followed. */
  all(): Iterable<TenantSync> {
    return this.#syncs.values();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#syncs.values()].map((sync) => sync[Symbol.asyncDispose]()));
  }
}
