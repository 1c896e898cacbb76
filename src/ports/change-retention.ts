/** What may be removed of the log, and by whom. Only one program at a time holds the lease. */
export interface ChangeRetention {
  /**
   * Runs `work` while no other program does. False: another one is at it, and `work` was not called. When the connection
   * breaks, the lease is lost, and what `work` does next through it is rejected.
   */
  exclusively(work: (lease: RetentionLease) => Promise<void>): Promise<boolean>;
}

/** Removing, in small steps: each is a transaction, after which everything that this port's neighbours promise holds. */
export interface RetentionLease {
  /** The tenants whose logs are to be looked at. */
  tenants(): Promise<string[]>;
  /**
   * Removes about `limit` of a tenant's oldest changes and answers how many; 0: there are none left to remove. Everything younger
   * than `keepMs` (a day at least, by the database's clock) stays, and the transaction that held when that time began.
   * Afterwards the oldest that is kept begins a transaction, and everything before it is REVISION_COMPACTED.
   */
  removeChanges(tenant: string, options: { readonly keepMs: number; readonly limit: number }): Promise<number>;
  /** Removes up to `limit` replies to request ids that are older than 24 hours; answers how many. */
  removeReplies(limit: number): Promise<number>;
  /**
   * Removes up to `limit` of the oldest hours of lookup usage that ended before `keepMs`, and as many of the sidecars that have not
   * reported since; answers how many.
   */
  removeUsage(options: { readonly keepMs: number; readonly limit: number }): Promise<number>;
}
