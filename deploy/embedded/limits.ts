/** Every bound of the launcher, with its arithmetic. Measured on two shared cores (Debian 12, Postgres 18.4). */
export const limits = {
  /** Between two looks at a file or process that reports no event: a start takes 50 ms, so a look costs 1/5 of it at most. */
  pollIntervalMs: 10,
  /** Postgres after a crash replays up to `max_wal_size` (1 GB) at about 50 MB/s on a slow disk: 20 s, three times over. */
  postgresStartMs: 60_000,
  /** A fast shutdown writes what `shared_buffers` (128 MB) holds: 0.15 s measured, 10 s on a very slow disk. */
  postgresStopMs: 10_000,
  /** An immediate shutdown only waits for backends to die, which Postgres itself bounds at 5 s before it kills them. */
  postgresQuitMs: 6_000,
  /** After SIGKILL the kernel needs a moment to tear memory down. */
  killedMs: 5_000,
  /** Backends outlive a killed postmaster until their next wait; they keep its shared memory, and a start is refused. */
  postgresOrphansMs: 10_000,
  postgresOrphansRetryMs: 100,
  /** An initdb whose run was killed ends within a second; Node waits 1, 2, 3 ... times the pause: 2.75 s in all. */
  removeAttempts: 10,
  removeRetryMs: 50,
  /** Another program may take the free port between our look and the server's bind; three in a row is no accident. */
  portAttempts: 3,
  /** A fresh cluster is 47 MB on disk, and the first checkpoints add WAL segments of 16 MB: three of them, and some air. */
  freshDataBytes: 128 * 1024 * 1024,
  /** An old cluster needs one new WAL segment (16 MB) to start, and as much again to stop. */
  existingDataBytes: 32 * 1024 * 1024,
  /** JetStream replays its index: 0.8 s for 100,000 messages (FACTS §2), twenty times over. */
  natsStartMs: 20_000,
  /** A NATS server greets at once; what accepts a connection and says nothing is another program on that port. */
  natsGreetingMs: 500,
  /** 1.6 s measured for 100,000 messages. */
  natsStopMs: 5_000,
  /** Node, imports and migrations take about 1 s; a first answer is promised within 15 s, so later than this is a failure. */
  childStartMs: 30_000,
  /** A child drains its calls (TM_DRAIN_MS), then closes its pools and streams, which wait for nobody. */
  childCloseMs: 5_000,
  /** The first lookup may come before the sidecar has read the change that it asks for. */
  firstLookupMs: 10_000,
  firstLookupRetryMs: 20,
  /** One try of it: a lookup takes milliseconds, so this only guards against an answer that never comes. */
  firstLookupCallMs: 2_000,
  /** The system tells us of a child's end a few ms after its connections break. */
  deathNoticeMs: 250,
  /** How late we notice that npm was killed: nobody waits for it, and a look costs a system call. */
  parentWatchMs: 500,
  /** npm passes on a Ctrl-C that the terminal has already sent us: the same one, milliseconds later (npm 11: 1-5 ms). */
  repeatedInterruptMs: 300,
  /** Lines of a dead child's log that are shown. */
  logLinesShown: 20,
  /** The tail of a log that is read to find them: 20 lines of JSON are about 10 KB. */
  logTailBytes: 64 * 1024,
  /** Two attempts at a state directory lock may refuse each other; each retries after a random part of this. */
  lockAttempts: 5,
  lockRetryMs: 50,
} as const;
