/**
 * The contract's limits. A route at its limits encodes to about 1,000 × (2 KiB URL + 64 × 320 B labels) = 22 MiB, which
 * no message takes: what bounds a route in practice is {@link routeBytesMax}.
 */
export const limits = {
  /** DNS label (RFC 1123), so that names are safe as subject tokens, host labels and file names. */
  nameLengthMax: 63,
  endpointsPerRouteMax: 1_000,
  endpointUrlLengthMax: 2_048,
  endpointWeightMax: 10_000,
  endpointPriorityMax: 127,
  labelsMax: 64,
  labelKeyLengthMax: 63,
  labelValueLengthMax: 255,
  /** Of a route's canonical text. 256 KiB: a full snapshot chunk (1 MiB) still carries several. */
  routeBytesMax: 256 * 1024,
  displayNameLengthMax: 255,
  splitBranchesMax: 64,
  splitWeightMax: 10_000,
  requestIdLengthMax: 128,
  correlationIdLengthMax: 128,
  actorLengthMax: 128,
  hashKeyLengthMax: 256,
  methodLengthMax: 256,
  attributesMax: 64,
  attributeKeyLengthMax: 63,
  attributeValueLengthMax: 1_024,
  pageSizeDefault: 100,
  pageSizeMax: 1_000,
  /**
   * Of an error's parts, in bytes. It travels in the trailers of a call, which C-core and Java refuse past 8 KiB (and grpc-js
   * past 64 KiB): 2,560 of violations, 512 of message twice, and 4 × 256 of metadata are 4.6 KB, in base64 6.1 KB.
   */
  errorViolationsBytesMax: 2_560,
  errorMessageBytesMax: 512,
  errorValueBytesMax: 256,
  lookupsPerMessageMax: 1_000,
  watchFiltersMax: 1_000,
  progressIntervalMsMin: 100,
  progressIntervalMsDefault: 5_000,
  progressIntervalMsMax: 600_000,
} as const;
