import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { ChangeSignal, ConfigurationStore } from '../ports/configuration-store.ts';
import { replicaLimits } from './limits.ts';
import { TenantReplica } from './tenant-replica.ts';

export type ReplicaOptions = {
  readonly store: ConfigurationStore;
  readonly signal: ChangeSignal;
  readonly clock: Clock;
  readonly logger: Logger;
};

/**
 * All tenants in this replica's memory, kept up to date by tailing the change log: wake-ups say which tenants moved, a poll
 * makes sure. It serves lookups and watches, and is what writes are worked out on; Postgres stays the only truth.
 */
export class Replica {
  readonly #options: ReplicaOptions;
  readonly #tenants = new Map<string, TenantReplica>();
  readonly #adoptionListeners = new Set<(tenant: TenantReplica) => void>();
  readonly #stopped = new AbortController();
  #polling: Promise<void> | undefined;
  #cutOff = false;

  constructor(options: ReplicaOptions) {
    this.#options = options;
  }

  /** Loads everything, then follows. Rejects when Postgres cannot be read. */
  async start(): Promise<void> {
    const { store, signal, clock } = this.#options;
    const startedAtMs = clock.monotonicMs();
    for (const snapshot of await store.loadAll()) {
      const tenant = this.adopt(snapshot.tenant.tenant);
      tenant.reset(snapshot);
      tenant.markVerified(startedAtMs);
    }
    signal.subscribe((tenants) => void this.#follow(tenants));
    this.#polling = this.#poll();
  }

  /** The database could not be read when it last was: memory grows older until it can. */
  get isCutOff(): boolean {
    return this.#cutOff;
  }

  /** A tenant in memory; undefined when it is not known here (it may exist since a moment, and be on its way into memory). */
  find(tenant: string): TenantReplica | undefined {
    const replica = this.#tenants.get(tenant);
    return replica?.position.revision === 0 ? undefined : replica;
  }

  /** A tenant as Postgres has it now or newer; undefined when there is none. One round trip, more only when memory is behind. */
  async findStrong(tenant: string): Promise<TenantReplica | undefined> {
    const { store, clock } = this.#options;
    const startedAtMs = clock.monotonicMs();
    const known = this.#tenants.get(tenant)?.position.revision ?? 0;
    const head = await store.head(tenant);
    if (head === undefined) return undefined;
    const replica = this.adopt(tenant);
    // Memory may pass the head while it is read. What was ahead of it before is of a history that the database has lost.
    const lost = known > head.position.revision;
    if (replica.position.commitId === head.position.commitId) replica.markVerified(startedAtMs);
    else if (lost || replica.position.revision <= head.position.revision) await replica.catchUp();
    return replica;
  }

  /** The tenant's place in memory, made when it is new. Only for tenants that exist or are being created. */
  adopt(tenant: string): TenantReplica {
    let replica = this.#tenants.get(tenant);
    if (replica === undefined) {
      replica = new TenantReplica(tenant, this.#options.store, () => this.#options.clock.monotonicMs());
      this.#tenants.set(tenant, replica);
      for (const listener of this.#adoptionListeners) listener(replica);
    }
    return replica;
  }

  /** Every tenant that has a place in memory; some may have no changes yet. */
  tenants(): IterableIterator<TenantReplica> {
    return this.#tenants.values();
  }

  /** Calls with each tenant that gets its place in memory from now on. */
  onAdopted(listener: (tenant: TenantReplica) => void): Disposable {
    this.#adoptionListeners.add(listener);
    return { [Symbol.dispose]: () => void this.#adoptionListeners.delete(listener) };
  }

  async #poll(): Promise<void> {
    const { clock } = this.#options;
    while (!this.#stopped.signal.aborted) {
      await clock.sleep(replicaLimits.pollIntervalMs, this.#stopped.signal);
      if (!this.#stopped.signal.aborted) await this.#follow(undefined);
    }
  }

  /** Catches up with the named tenants, or with all whose head is elsewhere than memory. */
  async #follow(tenants: readonly string[] | undefined): Promise<void> {
    const { logger } = this.#options;
    try {
      if (tenants === undefined) await this.#compareHeads();
      else await Promise.all(tenants.map((tenant) => this.adopt(tenant).catchUp()));
      this.#cutOff = false;
    } catch (error) {
      this.#cutOff = true;
      if (!this.#stopped.signal.aborted)
        logger.warn({ error }, 'cannot read the change log; serving what is in memory');
    }
  }

  async #compareHeads(): Promise<void> {
    const { store, clock, logger } = this.#options;
    const startedAtMs = clock.monotonicMs();
    const known = new Map([...this.#tenants.values()].map((replica) => [replica.tenant, replica.position]));
    for (const head of await store.heads()) {
      const replica = this.adopt(head.tenant);
      const before = known.get(head.tenant);
      if (before?.commitId === head.position.commitId) replica.markVerified(startedAtMs);
      else {
        if (before !== undefined && before.revision > head.position.revision) {
          logger.error(
            { tenant: head.tenant, memory: before, database: head.position },
            'the database went back in time; taking the tenant anew',
          );
        }
        await replica.catchUp();
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort();
    await this.#polling;
  }
}
