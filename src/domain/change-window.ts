import type { Change, Position } from './change.ts';

/** What a reader that has seen everything up to a revision gets next. */
export type WindowRead =
  /** Whole transactions, oldest first; empty when the reader is at the end. */
  | { readonly kind: 'changes'; readonly changes: readonly Change[]; readonly position: Position }
  /** The window begins later than that. */
  | { readonly kind: 'compacted' }
  /** Nothing that new has happened. */
  | { readonly kind: 'future' };

/**
 * The newest changes of one tenant, shared by all its watchers: each of them keeps only its own revision, so that a slow one
 * costs no memory and delays nobody. Bounded by count: 10,000 changes of 500 B make 5 MB.
 */
export class ChangeWindow {
  readonly #changesMax: number;
  #changes: Change[] = [];
  /** Changes before this index have left the window: cut off in steps, so that an append stays cheap. */
  #start = 0;
  /** Where the window begins: the position before its oldest change. */
  #base: Position;

  constructor(base: Position, changesMax: number) {
    this.#base = base;
    this.#changesMax = changesMax;
  }

  get end(): Position {
    return this.#changes.at(-1) ?? this.#base;
  }

  /** The position before the oldest change held. */
  get base(): Position {
    return this.#base;
  }

  /** Adds the next changes: whole transactions, following on `end` without a gap; all of them, or none when there is one. */
  append(changes: readonly Change[]): void {
    const { revision } = this.end;
    for (const [index, change] of changes.entries()) {
      if (change.revision !== revision + 1 + index)
        throw new Error(`change ${change.revision} does not follow ${revision + index}`);
    }
    for (const change of changes) this.#changes.push(change);
    this.#trim();
  }

  /**
   * What comes after a revision: up to about `limit` changes, always whole transactions. A reader inside a transaction gets
   * the rest of it. `commitId` '' is not checked.
   */
  after(revision: number, limit: number): WindowRead {
    if (revision > this.end.revision) return { kind: 'future' };
    if (revision < this.#base.revision) return { kind: 'compacted' };
    const from = this.#start + revision - this.#base.revision;
    let to = Math.min(this.#changes.length, from + limit);
    while (to > from && to < this.#changes.length && this.#changes[to - 1]?.commitId === this.#changes[to]?.commitId)
      to++;
    const changes = this.#changes.slice(from, to);
    return { kind: 'changes', changes, position: changes.at(-1) ?? this.positionAt(revision) ?? this.end };
  }

  /** The position of a revision inside the window, or of its base; undefined when it has left the window. */
  positionAt(revision: number): Position | undefined {
    if (revision === this.#base.revision) return this.#base;
    return this.#changes[this.#start + revision - this.#base.revision - 1];
  }

  #trim(): void {
    const excess = this.#changes.length - this.#start - this.#changesMax;
    if (excess > 0) {
      let start = this.#start + excess;
      // Never begin inside a transaction.
      while (start < this.#changes.length && this.#changes[start - 1]?.commitId === this.#changes[start]?.commitId)
        start++;
      const last = this.#changes[start - 1];
      if (last !== undefined) this.#base = { revision: last.revision, commitId: last.commitId };
      this.#start = start;
    }
    if (this.#start > this.#changesMax) {
      this.#changes = this.#changes.slice(this.#start);
      this.#start = 0;
    }
  }
}
