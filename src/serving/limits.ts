/** Bounds of serving watches. */
export const watchLimits = {
  /**
   * A message ends when it has reached this, unless one change alone is larger: what HTTP/2 lets a stream have under way by
   * default (65,535 bytes), so larger ones would only wait in memory. 100,000 routes of 250 B make 400 messages.
   */
  messageBytes: 64 * 1024,
  /** Changes looked at for one message: 0.1 ms of work for a filter that wants none of them. */
  changesPerStepMax: 1_000,
  /** Messages to one watcher before the others have their turn: 16 × 64 KiB, more than a transport takes at once. */
  messagesPerTurnMax: 16,
  /** How long the work for all watchers may hold up other calls, ms: about 300 messages. */
  sliceMsMax: 2,
  /** Precision of progress and stall deadlines, ms: half of the shortest progress interval. */
  tickMs: 50,
  /** A watcher is behind when this share of its tenant's window waits for it: then its changes are coalesced. */
  coalesceWindowShare: 0.1,
  /** How long a refused watcher is asked to wait, ms. */
  refusedRetryMs: 5_000,
  /** Encoded changes, shared by all messages that carry them: about 10,000 of 800 B. */
  encodedChangesBytesMax: 8 * 1024 * 1024,
  /** Encoded messages, shared by all watchers that get them: 128 of the largest. */
  messagesBytesMax: 8 * 1024 * 1024,
  /** Encoded snapshots: 250,000 routes of 250 B. What does not fit is encoded again for each watcher. */
  snapshotBytesMax: 64 * 1024 * 1024,
  /** (Service, environment)s whose routes are encoded together, and anew when one of them changes: 2 routes each make one message. */
  groupsPerPiece: 128,
  /** Changes in one read of the log for watchers that resume further back than memory reaches: 400 KB. */
  logPageChanges: 500,
  /** Bytes of such pages kept for the watchers behind: 32 of them. */
  logPagesBytesMax: 32 * 1024 * 1024,
  /** Such reads under way at a time, of a pool of 10 connections. */
  logReadsMax: 2,
} as const;

/** Bounds of serving lookups. */
export const resolverLimits = {
  /**
   * The answers to one batch: what a server takes of one message. 1,000 routes of 16 KB; of the largest, with their policies, 32:
   * without it 1,000 of those would be 512 MB.
   */
  batchAnswerBytesMax: 16 * 1024 * 1024,
  /**
   * The answers of all batches that wait for others: four of the largest batches, or 120 of 1,000 answers of 250 B. Those that instants have
   * begun and those of the handlers have as much each.
   */
  waitingAnswerBytesMax: 64 * 1024 * 1024,
  /** The objects around one of these. */
  waitingAnswerBytes: 300,
  /** Memory that batches are put together in, kept: 1,000 answers of 250 B. */
  batchScratchBytes: 256 * 1024,
} as const;
