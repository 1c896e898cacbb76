/** Bounds of the relay. */
export const relayLimits = {
  /** How long the right to publish lasts unless renewed: with the intervals below another replica leads 1.5 s after a kill -9. */
  leaseTtlMs: 1_200,
  /** How often it is renewed, or tried for: three renewals may be lost. */
  leaseIntervalMs: 300,
  /** How long the database may take to answer a renewal. */
  leaseAnswerMsMax: 600,
  /** A leader stops this long before its time is over: what it began then is refused or done before another one begins. */
  leaseMarginMs: 200,
  /** Streams that are looked into or repaired at a time: 1,000 tenants take 1 s at 5 ms each. */
  opensMax: 8,
  /** Between two beacons of a tenant, and between two looks at an idle stream. */
  beaconIntervalMs: 2_000,
  /** With many tenants less often: 250 looks a second at most, 5 % of a core. */
  beaconSpacingMs: 4,
  /** How often due beacons are looked for. */
  tickMs: 100,
  /** How old the memory of the streams in the database may be. */
  recordIntervalMs: 2_000,
  /** Changes that are told at once; whoever comes late with more says where the tenant is, and the stream has them. */
  toldChangesMax: 5_000,
  /** Changes in one read of the log. */
  logPageChanges: 1_000,
  /** Entries removed from a stream one by one; beyond that everything is published anew. */
  removalsMax: 1_000,
  /** Questions for tenants that are not in memory, looked for in the database at a time; more get no answer, and ask again. */
  strangersMax: 4,
  failureBackoff: { baseMs: 200, maxMs: 2_000 },
} as const;
