import { resourceOf, withCommitTime, type Change, type Position } from '../../src/domain/change.ts';
import type { Mutation } from '../../src/domain/mutation.ts';
import { TenantState } from '../../src/domain/tenant-view.ts';
import { stage } from '../../src/domain/transaction.ts';
import type { ChangeRange, HeldSnapshot } from '../../sidecar/snapshot/tenant-memory.ts';
import { createTenant, transactionOf } from './example-configuration.ts';

/** One tenant's history without a store: what a source of changes would tell of it. The tenant's creation is revision 1. */
export class SidecarHistory {
  readonly tenant: string;
  readonly state = new TenantState();
  readonly #name: string;
  #position: Position = { revision: 0, commitId: '' };
  #commits = 0;

  /** `name` tells two histories of one tenant apart: a database that was restored goes on with another. */
  constructor(tenant: string, name = 'a') {
    this.tenant = tenant;
    this.#name = name;
    this.commit(createTenant(tenant));
  }

  get position(): Position {
    return this.#position;
  }

  /** Commits one transaction; answers its changes. */
  commit(...mutations: readonly Mutation[]): Change[] {
    this.#commits += 1;
    const commitId = `${this.#name}-${this.tenant}-${this.#commits}`;
    const staged = stage(this.state, this.#position.revision, transactionOf(this.tenant, commitId, mutations));
    const changes = staged.changes.map((change) => withCommitTime(change, this.#commits));
    for (const change of changes) this.state.apply(change);
    const last = changes.at(-1);
    if (last !== undefined) this.#position = { revision: last.revision, commitId };
    return changes;
  }

  /** Everything that is not deleted, as of now. */
  snapshot(): HeldSnapshot {
    const groups = [...this.state.all()];
    return {
      position: this.#position,
      routes: groups
        .flatMap(({ routes }) => [...routes.values()])
        .filter(({ lifecycle }) => lifecycle.state !== 'DELETED'),
      policies: groups.flatMap(({ policy }) => policy ?? []),
    };
  }
}

/** Whole transactions, as a source tells of them. */
export function rangeOf(changes: readonly Change[]): ChangeRange {
  const { revision, commitId } = changes.at(-1) ?? { revision: 0, commitId: '' };
  return { changes, position: { revision, commitId }, coalescedAfter: undefined };
}

/** The same, of which only the newest change of each resource is told. */
export function coalescedRangeOf(changes: readonly Change[]): ChangeRange {
  const [first] = changes;
  if (first === undefined) throw new Error('changes to coalesce');
  const newest = new Map(changes.map((change) => [resourceOf(change.subject), change]));
  return {
    ...rangeOf(changes),
    changes: changes.filter((change) => newest.get(resourceOf(change.subject)) === change),
    coalescedAfter: first.revision - 1,
  };
}
