import { ChangeWindow } from '../domain/change-window.ts';
import type { Change, Position } from '../domain/change.ts';
import { TenantState } from '../domain/tenant-view.ts';
import type { ConfigurationStore, TenantSnapshot } from '../ports/configuration-store.ts';
import { replicaLimits } from './limits.ts';
import { readTransactions } from './read-transactions.ts';

/** Told when a tenant's memory moved forward, or was replaced. */
export type ReplicaListener = () => void;

const beforeFirstChange: Position = { revision: 0, commitId: '' };

/**
 * One tenant in a replica's memory: its configuration, its position, and its newest changes. Moved forward by the replica's
 * own commits and by the log, whichever comes first; both are idempotent here.
 */
export class TenantReplica {
  readonly tenant: string;
  readonly #store: ConfigurationStore;
  readonly #listeners = new Set<ReplicaListener>();
  readonly #monotonicMs: () => number;
  #state = new TenantState();
  #window = new ChangeWindow(beforeFirstChange, replicaLimits.window);
  #catchingUp: Promise<void> | undefined;
  #verifiedAtMs: number;

  constructor(tenant: string, store: ConfigurationStore, monotonicMs: () => number) {
    this.tenant = tenant;
    this.#store = store;
    this.#monotonicMs = monotonicMs;
    this.#verifiedAtMs = monotonicMs();
  }

  get state(): TenantState {
    return this.#state;
  }

  get position(): Position {
    return this.#window.end;
  }

  /** Replaced, as an object, when the history had to be taken anew: a reader that holds an old one must start over. */
  get window(): ChangeWindow {
    return this.#window;
  }

  /** How long ago this memory was certainly all that Postgres had, ms. */
  stalenessMs(): number {
    return Math.max(0, this.#monotonicMs() - this.#verifiedAtMs);
  }

  /** The head that was read from Postgres by a statement begun at `sinceMs` is what memory holds. */
  markVerified(sinceMs: number): void {
    this.#verifiedAtMs = Math.max(this.#verifiedAtMs, sinceMs);
  }

  subscribe(listener: ReplicaListener): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  reset(snapshot: TenantSnapshot): void {
    const state = new TenantState();
    state.tenant = snapshot.tenant;
    for (const route of snapshot.routes) state.putRoute(route);
    for (const policy of snapshot.policies) state.putPolicy(policy);
    this.#state = state;
    this.#window = new ChangeWindow(snapshot.position, replicaLimits.window);
    this.#notify();
  }

  /** Applies committed changes, oldest first and whole transactions; those that are already here are passed over. */
  advance(changes: readonly Change[]): void {
    const fresh = changes.filter((change) => change.revision > this.position.revision);
    if (fresh.length === 0) return;
    this.#window.append(fresh);
    for (const change of fresh) this.#state.apply(change);
    this.#notify();
  }

  /** Reads the log until memory holds at least everything that was committed before this call. Shared by concurrent callers that started it. */
  async catchUp(): Promise<void> {
    // A read under way may have begun before the commit that the caller wants to see: wait for it, then read once more.
    await this.#catchingUp?.catch(() => {});
    this.#catchingUp ??= this.#readLog().finally(() => {
      this.#catchingUp = undefined;
    });
    await this.#catchingUp;
  }

  async #readLog(): Promise<void> {
    for (;;) {
      const startedAtMs = this.#monotonicMs();
      const known = this.position;
      // The change at the known position is read again: if it is another, this is another history (a restored database).
      const from = Math.max(known.revision, 1);
      const page = await readTransactions(this.#store, this.tenant, { from, limit: replicaLimits.logPageChanges + 1 });
      const [first] = page;
      const sameHistory =
        known.revision === 0
          ? first?.revision === 1
          : first?.revision === known.revision && first.commitId === known.commitId;
      if (!sameHistory) return this.#reload(known);
      this.advance(page);
      if (page.length <= replicaLimits.logPageChanges) return this.markVerified(startedAtMs);
    }
  }

  /** Takes the tenant anew, unless memory moved on meanwhile (then what looked wrong was only late). */
  async #reload(known: Position): Promise<void> {
    const startedAtMs = this.#monotonicMs();
    const snapshot = await this.#store.load(this.tenant);
    if (snapshot === undefined) return;
    if (this.position.commitId !== known.commitId) return;
    if (snapshot.position.revision !== known.revision || snapshot.position.commitId !== known.commitId)
      this.reset(snapshot);
    this.markVerified(startedAtMs);
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }
}
