/** Bounds of a connection to NATS. */
export const natsLimits = {
  /** Of one attempt to connect: a server answers in 2 ms; 1 s outlasts one that is starting with 1,000 streams. */
  connectMsMax: 1_000,
  /** A connection that is silent is probed this often, and given up after so many unanswered: 1 to 1.5 s of the 5 s to heal. */
  pingIntervalMs: 500,
  pingsUnansweredMax: 2,
  /** Between two attempts to connect, at random between these: 1,000 sidecars make 3,000 attempts a second. */
  retryMsMin: 100,
  retryMsMax: 500,
} as const;
