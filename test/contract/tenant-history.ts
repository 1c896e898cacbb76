import { withCommitTime, type Change, type Position } from '../../src/domain/change.ts';
import type { Mutation } from '../../src/domain/mutation.ts';
import { TenantState } from '../../src/domain/tenant-view.ts';
import { stage } from '../../src/domain/transaction.ts';
import type { CommitOutcome, CommitReply, ConfigurationStore } from '../../src/ports/configuration-store.ts';
import { createTenant, transactionOf } from '../fakes/example-configuration.ts';

/** One tenant's history as the one who commits it knows it: what the store must then answer. */
export class TenantHistory {
  readonly tenant: string;
  readonly state = new TenantState();
  readonly changes: Change[] = [];
  readonly #store: ConfigurationStore;
  #commits = 0;

  constructor(store: ConfigurationStore, tenant: string) {
    this.#store = store;
    this.tenant = tenant;
  }

  get position(): Position {
    const { revision, commitId } = this.changes.at(-1) ?? { revision: 0, commitId: '' };
    return { revision, commitId };
  }

  /** Creates the tenant: revision 1. */
  async begin(): Promise<this> {
    await this.commit([createTenant(this.tenant, 'ACME')]);
    return this;
  }

  /** The changes of a transaction on top of what is committed, or of several (a group commit). Not committed. */
  stage(...transactions: readonly (readonly Mutation[])[]): Change[] {
    const scratch = new TenantState();
    for (const change of this.changes) scratch.apply(change);
    return transactions.flatMap((mutations) => {
      this.#commits += 1;
      const transaction = transactionOf(this.tenant, `${this.tenant}-${this.#commits}`, mutations);
      const { changes } = stage(scratch, scratch.tenant?.revision ?? 0, transaction);
      for (const change of changes) scratch.apply(change);
      return [...changes];
    });
  }

  /** Commits transactions together. */
  async commit(...transactions: readonly (readonly Mutation[])[]): Promise<Change[]> {
    return await this.commitChanges(this.stage(...transactions));
  }

  async commitChanges(changes: readonly Change[], replies: readonly CommitReply[] = []): Promise<Change[]> {
    const { tenant, position } = this;
    const outcome = await this.#store.commit({ tenant, expected: position, changes, replies });
    if (outcome.kind === 'conflict') throw new Error(`${tenant} is not at ${position.revision}`);
    return this.accept(changes, outcome);
  }

  /** Takes changes that somebody committed into this history. */
  accept(changes: readonly Change[], { commitTimeMs }: Extract<CommitOutcome, { kind: 'committed' }>): Change[] {
    const committed = changes.map((change) => withCommitTime(change, commitTimeMs));
    for (const change of committed) this.state.apply(change);
    this.changes.push(...committed);
    return committed;
  }
}
