/** The status codes that a call can fail with, by name: google.rpc.Code without OK. */
export const failureCodeNames = [
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
] as const;

const failureCodes: ReadonlySet<string> = new Set(failureCodeNames);

/** Those that no further try can mend: the call itself is wrong. */
const hopelessCodes: ReadonlySet<string> = new Set(['INVALID_ARGUMENT', 'UNIMPLEMENTED', 'UNAUTHENTICATED']);

export function isFailureCode(name: string): boolean {
  return failureCodes.has(name);
}

/** Whether a retry policy may name it. */
export function isRetryableCode(name: string): boolean {
  return failureCodes.has(name) && !hopelessCodes.has(name);
}
