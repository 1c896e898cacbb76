import type { LeaseHolder, RelayLease } from '../../src/ports/relay-lease.ts';

type Row = { holder: string; term: number; expiresAtMs: number };

/** The row that all replicas share. */
export class InMemoryLeaseRow {
  readonly ttlMs: number;
  readonly nowMs: () => number;
  row: Row | undefined;

  constructor(ttlMs: number, nowMs: () => number) {
    this.ttlMs = ttlMs;
    this.nowMs = nowMs;
  }
}

/** One replica's way to it. */
export class InMemoryRelayLease implements RelayLease {
  readonly #shared: InMemoryLeaseRow;
  /** False: the database does not answer this replica. */
  answers = true;

  constructor(shared: InMemoryLeaseRow) {
    this.#shared = shared;
  }

  get ttlMs(): number {
    return this.#shared.ttlMs;
  }

  async claim(holder: string, termMin: number): Promise<LeaseHolder> {
    await Promise.resolve();
    if (!this.answers) throw new Error('the database did not answer');
    const { row, ttlMs } = this.#shared;
    const now = this.#shared.nowMs();
    const isFree = row === undefined || row.expiresAtMs < now || row.expiresAtMs > now + ttlMs;
    if (row !== undefined && row.holder !== holder && !isFree) return { holder: row.holder, term: row.term };
    const next = row === undefined ? 1 : row.term + (row.holder === holder ? 0 : 1);
    const term = Math.max(termMin, next);
    this.#shared.row = { holder, term, expiresAtMs: now + ttlMs };
    return { holder, term };
  }

  async release(holder: string): Promise<void> {
    await Promise.resolve();
    if (!this.answers) throw new Error('the database did not answer');
    const { row } = this.#shared;
    if (row?.holder === holder) row.expiresAtMs = -Infinity;
  }
}
