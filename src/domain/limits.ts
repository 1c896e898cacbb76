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
  /** Of a traffic policy's canonical text; as routeBytesMax. */
  policyBytesMax: 256 * 1024,
  rulesPerPolicyMax: 64,
  ruleNameLengthMax: 63,
  attributeMatchesPerRuleMax: 16,
  regexLengthMax: 512,
  /** As `regexCost` counts: twice the longest plain text, and about what Istio allows. Compiled in 1 to 7 ms. */
  regexCostMax: 1_024,
  /**
   * Of a policy: with the automatons 64 × (64 KiB + 12 KB of program) = 5 MB at the very worst, 0.7 MB with ordinary regexes, once a
   * lookup has needed them.
   */
  regexesPerPolicyMax: 64,
  regexAutomatonBytesMax: 64 * 1024,
  /** Of all regexes of a policy: 30 ms to compile, and a lookup that all of them look at takes at most 4,096 × 1,024 steps. */
  regexCostPerPolicyMax: 4_096,
  /** Of all different regexes in one request, which may set many policies: 0.2 to 0.5 s, in which nobody else is served. */
  regexCostPerRequestMax: 100_000,
  callTimeoutMsMax: 3_600_000,
  retryAttemptsMax: 10,
  retryCodesMax: 16,
  retryBackoffBaseMsMax: 60_000,
  retryBackoffMsMax: 300_000,
  retryBudgetFloorMax: 10_000,
  breakerVolumeMax: 1_000_000,
  breakerCallsMax: 1_000_000,
  breakerWindowMsMin: 100,
  breakerResetMsMin: 10,
  /** Of breaker windows, breaker resets and ejections. */
  healthIntervalMsMax: 600_000,
  ejectionErrorsMax: 1_000,
  ejectionTimeMsMin: 100,
  faultDelayMsMax: 60_000,
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
  /** With names of ordinary length 100 KB, at their longest 300 KB; added up in some 10 ms. */
  usageVersionsPerReportMax: 1_000,
  /** Of a version in one report: a million a second for eleven days. */
  usageLookupsMax: 1_000_000_000_000,
  /** With 1 KB a write 10 MB: within the 16 MiB that a message may have. */
  batchWritesMax: 10_000,
  watchFiltersMax: 1_000,
  progressIntervalMsMin: 100,
  progressIntervalMsDefault: 5_000,
  progressIntervalMsMax: 600_000,
} as const;
