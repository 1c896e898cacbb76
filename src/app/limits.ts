/** Bounds of a control-plane replica. */
export const replicaLimits = {
  /** Changes a tenant's window keeps for watchers: at 500 B each 5 MB a busy tenant; older ones are read from Postgres. */
  windowChangesMax: 10_000,
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
} as const;
