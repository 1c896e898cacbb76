import type { Change } from '../../src/domain/change.ts';
import { DomainError } from '../../src/domain/domain-error.ts';
import { revisionNotReached } from '../../src/domain/freshness.ts';
import { tenantNotFound } from '../../src/domain/transaction.ts';
import type { Clock } from '../../src/platform/clock.ts';
import { untilHolds } from '../../src/platform/condition.ts';
import type { CallContext } from '../../src/platform/grpc/handlers.ts';
import type { WatchedTenant, WatchSource } from '../../src/serving/watch-source.ts';
import { sidecarLimits } from '../limits.ts';
import type { Subscriptions } from '../sync/subscriptions.ts';
import type { TenantSync } from '../sync/tenant-sync.ts';

/** Watches from the sidecar's memory: an app watches its own sidecar, whatever else is down. */
export class SidecarWatchSource implements WatchSource {
  readonly #subscriptions: Subscriptions;
  readonly #clock: Clock;
  /** A tenant is watched as one object, so that all its watchers are served together. */
  readonly #watched = new WeakMap<TenantSync, WatchedTenant>();

  constructor(subscriptions: Subscriptions, clock: Clock) {
    this.#subscriptions = subscriptions;
    this.#clock = clock;
  }

  async open(
    tenant: string,
    revision: number,
    { signal }: CallContext,
    services: readonly string[] = [],
  ): Promise<WatchedTenant> {
    const startedAtMs = this.#clock.monotonicMs();
    const sync = await this.#holding(tenant, revision, signal);
    // Those that resume hear of the deletion as of any change; a snapshot could not tell of it.
    if (revision === 0 && sync.memory.tenant?.state === 'DELETED') throw tenantNotFound(tenant);
    if (!sync.memory.subscribesTo(services))
      throw notReady(tenant, 'this sidecar follows only some of its services; ask for those');
    if (!sync.memory.isComplete) throw notReady(tenant, 'it does not fit in memory; watch the control plane');
    const held = sync.memory.position.revision;
    // "Not reached by the tenant" would send the watcher back in time: only one who has just heard from the source may say so.
    const waitedMs = this.#clock.monotonicMs() - startedAtMs;
    if (held < revision && sync.stalenessMs() >= waitedMs) throw revisionNotReached(revision, held);
    return this.#watchedTenant(sync);
  }

  async find(tenant: string, { signal }: CallContext): Promise<WatchedTenant> {
    return this.#watchedTenant(await this.#holding(tenant, 0, signal));
  }

  /** A tenant that something is held of. Waits for that, and a while for the revision: who comes from elsewhere may be ahead of this sidecar. */
  async #holding(tenant: string, revision: number, signal: AbortSignal): Promise<TenantSync> {
    const subscription = this.#subscriptions.find(tenant);
    if (subscription.kind === 'absent') throw tenantNotFound(tenant);
    if (subscription.kind === 'out_of_scope') throw notReady(tenant, 'this sidecar does not follow it');
    const { sync } = subscription;
    const holds = (): boolean =>
      (sync.memory.tenant !== undefined && sync.memory.position.revision >= revision) || sync.state.kind === 'absent';
    await untilHolds({
      holds,
      subscribe: (listener) => sync.subscribe(listener),
      signal,
      timeoutMs: sidecarLimits.defaultWaitMs,
      clock: this.#clock,
    });
    if (sync.state.kind === 'absent') throw tenantNotFound(tenant);
    if (sync.memory.tenant === undefined) throw notReady(tenant, 'no snapshot has arrived yet');
    return sync;
  }

  #watchedTenant(sync: TenantSync): WatchedTenant {
    let tenant = this.#watched.get(sync);
    if (tenant === undefined) this.#watched.set(sync, (tenant = watched(sync)));
    return tenant;
  }

  /** A sidecar keeps no log. */
  older(): Promise<readonly Change[]> {
    return Promise.resolve([]);
  }
}

function watched(sync: TenantSync): WatchedTenant {
  const { memory } = sync;
  return {
    get window() {
      return memory.window;
    },
    get position() {
      return memory.position;
    },
    state: memory,
    stalenessMs: () => sync.stalenessMs(),
    subscribe: (listener) => memory.subscribe(listener),
  };
}

function notReady(tenant: string, why: string): DomainError {
  return new DomainError('SNAPSHOT_NOT_READY', `${tenant} cannot be watched here: ${why}`, {
    metadata: { tenant },
    retryDelayMs: 1_000,
  });
}
