import { wireLimits, type WireLimits } from '../../../sidecar/wire/limits.ts';

export const largeMessageBytes = 64 * 1_048_576;

/** Room for a large message each way, and for what comes beside it. */
export const limitsForLargeMessages: WireLimits = {
  ...wireLimits,
  heldBytesMax: 3 * largeMessageBytes,
  heldBytesMaxOfAll: 4 * largeMessageBytes,
};
