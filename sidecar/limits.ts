import { limits } from '../src/domain/limits.ts';

/** Bounds of a sidecar. */
export const sidecarLimits = {
  /** What a tenant's window keeps for the watchers of this sidecar: at 1 KB a change, most of it bytes, 1 MB a busy tenant. */
  window: { changesMax: 1_000, bytesMax: 4 * 1024 * 1024 },
  /**
   * Groups (a service in an environment) of all tenants, at most; fewer where fewer of the lightest fill the bytes: 144,632 in 64 MiB.
   * From 443 MiB on bytes let in more; then lru-cache sets 24 bytes aside for each of these: 24 MB.
   */
  groupsMax: 1_000_000,
  /** Tenants followed on demand: one stream each. */
  onDemandTenantsMax: 1_000,
  /** Longest silence asked of the source, ms. */
  progressIntervalMs: 1_000,
  /** A source that is silent for longer is taken for dead, ms: three progress messages. */
  silenceMsMax: 3_500,
  /**
   * Between two questions to the source where it is, ms; drawn between half of it and one and a half, so that a fleet does not
   * ask together. What is held is said to be as old as the latest question that was answered, so at rest about so much.
   */
  askIntervalMs: 1_000,
  /** Of one of these, ms: a later answer would prove less than `silenceMsMax`, and by then the source is taken for dead. */
  askMsMax: 3_000,
  reconnectBackoff: { baseMs: 100, maxMs: 5_000 },
  /**
   * What a source tells is applied in slices, between which sockets are looked at: at 30 to 50 µs a change one or two of them, so that a
   * lookup waits half as long again as it takes on a quiet machine (0.1 ms). Of 0.2 ms a slice had five, and 1 % of the lookups waited for
   * one at 1,000 changes/s, which come some at a time. After a wait for its turn half as long as that, so a third of the
   * time however busy the rest: 6,000 changes/s. At most a hundredth of half a second, which is what a caller's deadline may be.
   */
  slices: { sliceMsMin: 0.05, sliceMsMax: 5, sharePerWait: 0.5 },
  /** How long a lookup without a deadline waits for a snapshot or a revision, ms. */
  defaultWaitMs: 5_000,
  /** Left of a deadline to get a refusal to the caller, ms. */
  answerReserveMs: 50,
  /** How long "there is no such tenant" is believed, ms, and of how many names. */
  unknownTenantTtlMs: 2_000,
  unknownTenantsMax: 10_000,
  /** Lookups that wait for something: 40 MB at 10 KB each; one tenant's fill no more than half: two of the largest batches. */
  admission: { waitingMax: 4_000, waitingPerTenantMax: 2_000, retryDelayMs: 1_000 },
  /** What the front over grpc-js takes; that over our own engine has bounds of its own (`wire/limits.ts`). */
  front: {
    /** Each with its buffers 40 KB: 40 MB. The apps of one pod have some ten. */
    connectionsMax: 1_000,
    /**
     * Calls under way, 9 KB each: 90 MB, and as many as are answered in a second. One connection may have half of them, so that all
     * lookups that may wait leave room on it for those that need not; 1,000 may have 32 each.
     */
    streams: { streamsMax: 10_000, perConnectionMax: 5_000, perConnectionMin: 32 },
  },
  /**
   * What a call takes that the front over our own engine passes on to grpc-js: 9 KB of its heap, 12 KB in all. Of what the calls of a
   * connection may hold (33 MiB) that is 2,100 of them, of all connections (64 MiB) 4,096, and one of what is each one's own; without
   * it 50,000 spent the heap.
   */
  passedOnBytes: 16 * 1024,
  /** What the control plane answered to what memory does not hold. */
  answers: {
    countMax: 10_000,
    /** At 2.5 KB an answer 3,300 of them. */
    bytesMax: 8 * 1024 * 1024,
    /** Answered without a word to the control plane, ms; looked up again after `refreshMs` of them, it is asked in the background. */
    freshMs: 5_000,
    refreshMs: 4_000,
    /** Answered once more while it is asked for again, ms: six times as long, so that a pause of the callers is no wave of misses. */
    whileRevalidatingMs: 30_000,
    /** Answered when the control plane does not, ms: an outage that is noticed and mended. */
    ifErrorMs: 3_600_000,
    /** "There is nothing" is believed, ms: as long as a deployment can wait for its first lookup. */
    absentMs: 2_000,
    /** Asked for again after a reconnect, of a tenant: 64 at a time, these take 10 ms. */
    warmedMax: 100,
  },
  /** Counting lookups for the control plane. */
  usage: {
    /** Versions looked up in an interval, at 300 B each with its group 3 MB, and as much again while a report waits; of one tenant half of them. */
    versionsMax: 10_000,
    versionsPerTenantMax: 5_000,
    /** Of a service in an environment: each of its lookups walks past the others, 1 µs. */
    versionsPerGroupMax: 256,
    /** Tenants looked up in an interval: those followed on demand, and as many again. */
    tenantsMax: 2_000,
    versionsPerReportMax: limits.usageVersionsPerReportMax,
    /** Of one report, ms: nobody waits for it. */
    reportMsMax: 10_000,
    /** Of all reports when the process stops, ms: well within what a stop may take besides its calls. */
    lastReportMsMax: 2_000,
  },
  /** From a change until it is written to disk with all that followed it, ms: at 17 MB for 100,000 routes 3.4 MB/s at most. */
  saveDelayMs: 5_000,
  /** What a snapshot from disk is said to be old when nobody can tell, ms: a year, more than any caller takes for fresh. */
  unknownAgeMs: 365 * 24 * 3_600_000,
  /** Of a unix socket's path: `sun_path` less the byte that ends it, 108 on Linux (unix(7)), 104 on macOS. */
  socketPathBytesMax: process.platform === 'linux' ? 107 : 103,
} as const;

/** Following the change stream on NATS. */
export const natsSourceLimits = {
  /** Of one request, ms: a server on two busy cores answers within 50 ms. */
  requestMsMax: 1_000,
  /** Of a question to the relay, ms: it answers from memory, or not at all while it does not lead. */
  askMsMax: 500,
  /** The same while nothing is known yet: whoever boots without a relay must not wait for it. */
  joiningAskMsMax: 300,
  /** Between two questions to the relay, ms; drawn between half of it and one and a half, so that a fleet does not ask together. */
  askIntervalMs: 1_000,
  /** The same after a question that was not answered: so soon it is noticed that somebody leads again. */
  unansweredAskIntervalMs: 300,
  /** A change that the relay knows of is told within milliseconds; after so long, ms, it is looked for in the stream. */
  graceMs: 250,
  /** Between two attempts to catch up, ms. */
  catchUpBackoff: { baseMs: 100, maxMs: 1_000 },
  /** The shortest of these, ms, however much is told meanwhile. */
  catchUpPauseMsMin: 50,
  /** A stream that was read for nothing is read again after so long, ms, unless something new was heard: it is 35 MB at 100,000 routes. */
  rereadMs: 5_000,
  /** Between two looks at what was read meanwhile, ms, and how often: 2 s, twice the interval of the relay's beacons. */
  proofPauseMs: 50,
  proofAttemptsMax: 40,
  /** The same when no relay answers: long enough for what is on its way. */
  unansweredProofAttemptsMax: 4,
  /** After so many looks what was added to the stream is read too: 150 ms. */
  rereadAttempts: 3,
  /** Messages asked for at a time: at 350 B each 1.4 MB, far below the 64 MB that the server keeps for a slow reader. */
  pullMessagesMax: 4_000,
  /** The server stops sending for so long, ms: the reading has failed. */
  pullSilenceMsMax: 2_000,
  /** The server forgets a consumer that nobody reads, ns: 5 s. What a killed sidecar leaves behind is gone as soon. */
  consumerIdleNs: 5_000_000_000,
  /** Parts of one update that are kept until the last is here: a transaction of 10,000 writes of 1 KB is 10 MB. */
  assemblyBytesMax: 32 * 1024 * 1024,
  /** Updates that wait while the stream is read: 3 s at 1,000 changes/s of 1 KB are 3 MB. */
  waitingBytesMax: 16 * 1024 * 1024,
  /** Updates that were heard and wait for their turn: 3 s of them as well, where the process comes to nothing for so long. */
  unheardBytesMax: 16 * 1024 * 1024,
  /** Beacons that a reading remembers: at one a batch 200 ms and more. */
  beaconsMax: 64,
  /** Between two looks at the stream's head while all is well, ms: how much a gap costs to read is what came since. */
  headIntervalMs: 30_000,
} as const;

/** The circuit breaker and the bulkhead around calls to the control plane. */
export const controlPlaneGuard = {
  /** A call that takes longer has failed, ms. */
  timeoutMs: 2_000,
  /**
   * A call that its caller gave less time than this, and that was not answered, is no failure, ms: far above the control
   * plane's p99, so that one impatient caller cannot open the breaker for all.
   */
  fairTimeoutMs: 250,
  /** Opens when more than this share of the calls in the window failed, percent. */
  errorPercentageMax: 50,
  /** Calls in the window before the share counts. */
  volumeMin: 10,
  windowMs: 10_000,
  /** Tries one call again after this time, ms. */
  resetMs: 2_000,
  /**
   * Calls at a time; more wait. At 5 ms each 12,800 a second; the control plane has 10 database connections, so more would
   * only queue there, with their time-outs running.
   */
  concurrentMax: 64,
  /** Calls that wait; more are refused. Four of the largest batches: at 1 KB each 4 MB. */
  waitingMax: 4_000,
  /** Of one tenant: a quarter of the places, and the largest batch waiting. */
  perTenant: { concurrentMax: 16, waitingMax: 1_000 },
  /** A call that fails as "unavailable" is tried again so often, when the deadline and the budget allow it. */
  retriesMax: 2,
  /** Full jitter: the delays are anywhere below 25 and 50 ms, of deadlines of some 100. */
  retryBackoff: { baseMs: 25, maxMs: 100 },
  /** One retry for ten calls; ten for a start. */
  retryBudget: { perCall: 0.1, savedMax: 10 },
} as const;
