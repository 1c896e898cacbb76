/** The bounds of the command line, with their arithmetic. */
export const cliLimits = {
  /** 16 MiB of YAML is about 60,000 routes; its parsed tree takes some 30 times that. */
  manifestBytesMax: 16 * 1024 * 1024,
  /** YAML aliases that one may expand to: a repeated block is fine, a "billion laughs" file is not. */
  manifestAliasesMax: 1_000,
  /** Calls that `apply` has under way: enough to hide a write's round trip, few enough to leave the server to others. */
  applyInFlightMax: 16,
  /** Refused resources that one `apply` reports before it gives up: a screenful. */
  applyFailuresMax: 20,
  /** What the API takes in a batch: its writes are judged together. */
  batchWritesMax: 10_000,
  /** Entries that a list command fetches unless told: 10,000 routes of about 1 KiB are 10 MiB of output. */
  listEntriesDefault: 10_000,
  /** What the API gives a page. */
  listPageSizeMax: 1_000,
  /** Directories that the search for `proto/` climbs: `dist/src/cli` needs three. */
  protoSearchDepthMax: 5,
} as const;
