import type { Clock } from '../platform/clock.ts';
import type { ChangeHistory } from '../ports/change-history.ts';
import type { ChangeSignal, ConfigurationStore } from '../ports/configuration-store.ts';
import { tenantNotFound } from '../domain/transaction.ts';
import { replay } from './replay.ts';
import type { Replica } from './replica.ts';
import { TenantWriter } from './tenant-writer.ts';
import type { Repetition, WriteRequest, WriteResult } from './write-request.ts';

export type WriterOptions = {
  readonly replica: Replica;
  readonly store: ConfigurationStore;
  readonly history: ChangeHistory;
  readonly signal: ChangeSignal;
  readonly clock: Clock;
  readonly random: () => number;
};

/** The way in for every mutation: tenants in parallel, each tenant in series. */
export class Writer {
  readonly #options: WriterOptions;
  readonly #tenants = new Map<string, TenantWriter>();

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  /** Carries out a request; durable when it resolves. Rejects with a DomainError. */
  async write(request: WriteRequest): Promise<WriteResult> {
    const { tenant, mutations } = request.transaction;
    // Only tenants that exist, or are being created, get a place in memory: names of strangers must not fill it.
    if (this.#options.replica.find(tenant) === undefined && mutations[0]?.kind !== 'create_tenant') {
      if ((await this.#options.replica.findStrong(tenant)) === undefined) throw tenantNotFound(tenant);
    }
    return this.#writerOf(tenant).submit(request);
  }

  /**
   * What a request was answered the first time; undefined: it has no id, or one that was not used in the last 24 hours. For those
   * who must read the past to know what to write: it may be gone when the request is repeated. `write` answers repetitions itself.
   */
  async firstReply(request: Repetition): Promise<WriteResult | undefined> {
    const { replica, store, history } = this.#options;
    const { tenant } = request.transaction;
    if (request.requestId === '') return undefined;
    const known = replica.find(tenant) ?? (await replica.findStrong(tenant));
    if (known === undefined) return undefined;
    const [reply] = await store.replies(tenant, [request.requestId]);
    return reply && (await replay({ store, history, view: known.state }, request, reply));
  }

  #writerOf(tenant: string): TenantWriter {
    let writer = this.#tenants.get(tenant);
    if (writer === undefined) {
      const { replica, ...options } = this.#options;
      writer = new TenantWriter({ replica: replica.adopt(tenant), ...options });
      this.#tenants.set(tenant, writer);
    }
    return writer;
  }
}
