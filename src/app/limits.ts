/** Bounds of a control-plane replica. */
export const replicaLimits = {
  /** What a tenant's window keeps for watchers: at 1.6 KB a change 16 MB a busy tenant; older ones are read from Postgres. */
  window: { changesMax: 10_000, bytesMax: 16 * 1024 * 1024 },
  /** Changes in one read of the log: 500 KB. */
  logPageChanges: 1_000,
  /** How often every tenant's head is compared even when no wake-up comes, ms: one small statement. */
  pollIntervalMs: 1_000,
  /** Transactions in one commit. */
  groupTransactionsMax: 256,
  /** Changes in one commit, unless one transaction alone has more. */
  groupChangesMax: 2_000,
  /** Transactions that wait for a tenant's next commit: 10 s of work at 1,000 a second. */
  queuedTransactionsMax: 10_000,
  /** Commits lost to another replica before a transaction gives up. */
  conflictsMax: 50,
  /** Attempts while the database is out of reach: with the backoff below about 3 s in all. */
  unavailableAttemptsMax: 5,
  unavailableBackoff: { baseMs: 200, maxMs: 2_000 },
  conflictBackoff: { baseMs: 2, maxMs: 50 },
  /** Reports of 3,000 sidecars every 30 s; each holds a connection of the pool for some ms (30 where it has 1,000 versions). */
  usageReportsPerSecond: 100,
} as const;

/** Bounds of the retention job. */
export const retentionLimits = {
  /** A sweep begins after a random part of this: changes stay for an hour more than asked for at most. */
  sweepIntervalMs: 3_600_000,
  /** Changes or replies in one transaction: 4 ms of one connection (11 at most, of 100). */
  rowsPerStep: 1_000,
  /** Between two: the job takes a tenth of one connection, and removes 18,000 a second. */
  pauseMs: 50,
} as const;
