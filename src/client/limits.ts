/** The bounds of the client library, with their arithmetic. */
export const clientLimits = {
  /** Of a call with one answer that says nothing else: far above a write's p99 under load, below a person's patience. */
  callTimeoutMsDefault: 5_000,
  /** More than `grpc-timeout` can say (99,999,999 hours, 11,000 years) is never; grpc-js would end the process. */
  timeoutMsMax: 99_999_999 * 60 * 60 * 1_000,
  /**
   * Of one message taken. The largest page or batch has 1,000 routes, so they may average 64 KiB (the largest single route
   * has 256 KiB). gRPC's own default of 4 MiB would refuse such a page from 4 KiB a route on.
   */
  receivedMessageBytesMax: 64 * 1024 * 1024,
  /** A longer retry hint is taken as this: a server's mistake must not become a delay that timers cannot hold (2^31 ms). */
  retryDelayMsMax: 24 * 60 * 60 * 1_000,
  /** Between attempts to connect, growing from the first to the last, ms. gRPC's own last is 2 minutes: too late to be back when the server is. */
  reconnectMsMin: 100,
  reconnectMsMax: 2_000,
  /** A connection with calls on it that is silent for so long is asked for a sign of life, and given up without one, ms. */
  keepaliveMs: 20_000,
  keepaliveTimeoutMs: 10_000,
  /**
   * What all streams of a connection may have under way to us: 255 that nobody reads (256 KiB each) leave the others room. With
   * 4 MiB the 16th stopped all calls; it is held only where readers are so slow, and within what messages may take.
   */
  connectionWindowBytes: 64 * 1024 * 1024,
} as const;
