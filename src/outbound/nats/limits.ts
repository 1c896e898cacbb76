/** Bounds of the publisher's calls. */
export const streamCallLimits = {
  /** Of each call: a server answers in 1 to 5 ms; a stall of 2 s is an outage that the relay must look into. */
  callMsMax: 2_000,
  /** Messages sent ahead of their acknowledgements: 512 at most are what the client publishes fastest with (10,000 a second). */
  inFlightMax: 256,
  /** Of the changes in one live message; a server takes 1 MiB by default. */
  updateBytesMax: 512 * 1024,
  /** Entries fetched at once, when a stream is read: 1.25 MB at 250 B. */
  entriesPerFetch: 5_000,
  /** A reader that died without removing its consumer leaves it for so long. */
  readerIdleMs: 10_000,
} as const;
