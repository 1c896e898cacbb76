/** What a reconciliation of one tenant found and did. */
export type ReconcileReport = {
  /** When it ended, ms since the epoch, by the relay's clock. */
  readonly timeMs: number;
  readonly durationMs: number;
  /** Why it was done: `scheduled`, or what was suspicious. */
  readonly reason: string;
  /** The revision that stream and tenant were compared at. */
  readonly revision: number;
  /** Entries that the stream had. */
  readonly entries: number;
  /** Resources that the stream lacked, or had another value of: published anew. */
  readonly republished: number;
  /** Entries that the tenant does not have: removed. */
  readonly removed: number;
  /** Tombstones that were kept long enough: removed. */
  readonly purged: number;
  /** Whether the stream got a new epoch: everybody takes it anew. */
  readonly newEpoch: boolean;
};

/** What is remembered of a tenant's stream, beside the stream: enough to know, after a restart, that it was rolled back or replaced. */
export type StreamRecord = {
  readonly tenant: string;
  readonly epoch: string;
  /** The stream has certainly been there. */
  readonly sequence: number;
  readonly revision: number;
  readonly report: ReconcileReport | undefined;
};

/** Memory of the streams in the database: written now and then, so what it says is a little old. */
export interface StreamRecords {
  read(tenant: string): Promise<StreamRecord | undefined>;
  /** Replaces what is remembered of these tenants. Of those that do not exist nothing is kept. */
  write(records: readonly StreamRecord[]): Promise<void>;
}
