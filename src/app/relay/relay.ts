import { Places } from '../../platform/places.ts';
import type { StreamQuestion } from '../../ports/change-stream.ts';
import type { StreamRecord } from '../../ports/stream-records.ts';
import type { TenantReplica } from '../tenant-replica.ts';
import { relayLimits } from './limits.ts';
import type { RelayOptions } from './relay-options.ts';
import { beaconOf } from './stream-meta.ts';
import { TenantRelay, type RelayCounters } from './tenant-relay.ts';

type Followed = {
  readonly relay: TenantRelay;
  readonly running: Promise<void>;
  pulseDueAtMs: number;
  verifyDueAtMs: number;
};

/** Publishes every tenant's changes while this replica leads, says now and then where they are, and answers who asks. */
export class Relay {
  readonly #options: RelayOptions;
  readonly #tenants = new Map<string, Followed>();
  readonly #opening = new Places(relayLimits.opensMax);
  readonly #stopped = new AbortController();
  readonly #subscriptions = new DisposableStack();
  #strangers = 0;
  #working: readonly Promise<void>[] = [];

  constructor(options: RelayOptions) {
    this.#options = options;
  }

  start(): void {
    const { replica, stream, leadership } = this.#options;
    this.#subscriptions.use(replica.onAdopted((tenant) => this.#follow(tenant)));
    this.#subscriptions.use(stream.onChange(() => this.#suspectAll()));
    this.#subscriptions.use(leadership.onChange(() => this.#leadershipChanged()));
    this.#subscriptions.use(stream.answer((question) => void this.#answer(question)));
    for (const tenant of replica.tenants()) this.#follow(tenant);
    leadership.start();
    this.#working = [this.#tick(), this.#verify()];
  }

  /** The relay of one tenant; undefined: this replica does not know the tenant. */
  find(tenant: string): TenantRelay | undefined {
    return this.#tenants.get(tenant)?.relay;
  }

  get leads(): boolean {
    return this.#options.leadership.term !== undefined;
  }

  /** What all tenants' relays have done since the start. */
  totals(): RelayCounters {
    const totals: RelayCounters = { batches: 0, changes: 0, failures: 0, comparisons: 0, repairs: 0 };
    for (const { relay } of this.#tenants.values())
      for (const counter of Object.keys(totals) as (keyof RelayCounters)[]) totals[counter] += relay.counters[counter];
    return totals;
  }

  #follow(tenant: TenantReplica): void {
    if (this.#stopped.signal.aborted || this.#tenants.has(tenant.tenant)) return;
    const relay = new TenantRelay(this.#options, tenant, this.#opening);
    // At any moment of the interval, so that a thousand beacons are not one burst.
    const pulseDueAtMs = this.#options.clock.monotonicMs() + this.#options.random() * relayLimits.beaconIntervalMs;
    const running = relay.run(this.#stopped.signal);
    this.#tenants.set(tenant.tenant, { relay, running, pulseDueAtMs, verifyDueAtMs: 0 });
  }

  #leadershipChanged(): void {
    for (const followed of this.#tenants.values()) followed.verifyDueAtMs = 0;
    this.#suspectAll();
  }

  #suspectAll(): void {
    for (const { relay } of this.#tenants.values()) relay.suspect();
  }

  async #tick(): Promise<void> {
    const { clock, leadership } = this.#options;
    const { signal } = this.#stopped;
    for (let recordDueAtMs = 0; !signal.aborted;) {
      await clock.sleep(relayLimits.tickMs, signal);
      if (leadership.term === undefined) continue;
      this.#pulse(clock.monotonicMs());
      if (clock.monotonicMs() < recordDueAtMs) continue;
      recordDueAtMs = clock.monotonicMs() + relayLimits.recordIntervalMs;
      await this.#record();
    }
  }

  #pulse(nowMs: number): void {
    const intervalMs = Math.max(relayLimits.beaconIntervalMs, this.#tenants.size * relayLimits.beaconSpacingMs);
    for (const followed of this.#tenants.values()) {
      if (nowMs < followed.pulseDueAtMs) continue;
      followed.pulseDueAtMs = nowMs + intervalMs;
      followed.relay.pulse();
    }
  }

  /** Compares the streams that are due, one after the other: all soon after this replica has begun to lead, then now and then. */
  async #verify(): Promise<void> {
    const { clock, leadership, reconcileIntervalMs } = this.#options;
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      await clock.sleep(relayLimits.tickMs, signal);
      for (const followed of this.#tenants.values()) {
        if (signal.aborted || leadership.term === undefined) break;
        if (clock.monotonicMs() < followed.verifyDueAtMs || followed.relay.open === undefined) continue;
        followed.verifyDueAtMs = clock.monotonicMs() + reconcileIntervalMs;
        await followed.relay.verify();
      }
    }
  }

  async #record(): Promise<void> {
    const { records, logger } = this.#options;
    const due = [...this.#tenants.values()].flatMap(({ relay }): StreamRecord[] => {
      const record = relay.takeRecord();
      return record === undefined ? [] : [record];
    });
    // What is lost here is written with the next change of the stream.
    await records
      .write(due)
      .catch((error: unknown) => logger.debug({ error }, 'cannot remember where the streams are'));
  }

  async #answer({ tenant: name, answer }: StreamQuestion): Promise<void> {
    const { replica, leadership, logger } = this.#options;
    try {
      if (leadership.term === undefined) return;
      const tenant = replica.find(name) ?? (await this.#stranger(name));
      if (tenant === 'unknown') return;
      if (tenant?.state.tenant?.state !== 'ACTIVE') return answer(undefined, tenant?.stalenessMs() ?? 0);
      const voice = this.#tenants.get(name)?.relay.voice;
      if (voice !== undefined) answer(beaconOf(tenant, voice), tenant.stalenessMs());
    } catch (error) {
      logger.debug({ error, tenant: name }, 'cannot say where a tenant is');
    }
  }

  /** Memory may not have heard of a tenant yet, so the database is asked; by so many at a time, because names can be made up. */
  async #stranger(name: string): Promise<TenantReplica | undefined | 'unknown'> {
    if (this.#strangers >= relayLimits.strangersMax) return 'unknown';
    this.#strangers++;
    try {
      return await this.#options.replica.findStrong(name);
    } finally {
      this.#strangers--;
    }
  }

  /** What was published last is remembered, as well as can be: who comes next compares the streams with it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#record();
    this.#stopped.abort();
    this.#subscriptions.dispose();
    await Promise.all([...this.#working, ...[...this.#tenants.values()].map(({ running }) => running)]);
  }
}
