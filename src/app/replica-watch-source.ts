import type { Change } from '../domain/change.ts';
import { tenantNotFound } from '../domain/transaction.ts';
import type { ConfigurationStore } from '../ports/configuration-store.ts';
import { readTransactions } from './read-transactions.ts';
import type { Replica } from './replica.ts';
import type { TenantReplica } from './tenant-replica.ts';

/** Watches on the control plane: live from the replica's memory, older changes from the log. */
export class ReplicaWatchSource {
  readonly #replica: Replica;
  readonly #store: ConfigurationStore;

  constructor(replica: Replica, store: ConfigurationStore) {
    this.#replica = replica;
    this.#store = store;
  }

  /** A round trip to Postgres only for what memory does not show: a revision ahead of it, or a tenant that it does not know or knows as deleted. */
  async open(tenant: string, revision: number): Promise<TenantReplica> {
    const held = this.#replica.find(tenant);
    if (isInUse(held) && held.position.revision >= revision) return held;
    const strong = await this.#replica.findStrong(tenant);
    // Those that resume hear of the deletion as of any change; a snapshot could not tell of it.
    if (strong === undefined || (revision === 0 && !isInUse(strong))) throw tenantNotFound(tenant);
    return strong;
  }

  /** A round trip to Postgres only for a tenant that memory does not know. */
  async find(tenant: string): Promise<TenantReplica> {
    const found = this.#replica.find(tenant) ?? (await this.#replica.findStrong(tenant));
    if (found === undefined) throw tenantNotFound(tenant);
    return found;
  }

  /** Whole transactions, unless one change is asked for: then that. */
  async older(tenant: string, from: number, limit: number): Promise<readonly Change[]> {
    if (limit === 1) return this.#store.changesFrom(tenant, from, 1);
    return readTransactions(this.#store, tenant, { from, limit });
  }
}

function isInUse(tenant: TenantReplica | undefined): tenant is TenantReplica {
  return tenant?.state.tenant?.state === 'ACTIVE';
}
