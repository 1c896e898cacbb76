import { ErrorCode, NatsError } from 'nats';
import { ChangeStreamError } from '../../ports/change-stream.ts';

/** Codes of JetStream's own errors: https://github.com/nats-io/nats-server/blob/main/server/errors.json */
const streamNotFoundCode = 10_059;
const noMessageCode = 10_037;
/** Not the expected last message, or sequence number. */
const wrongPlaceCodes: ReadonlySet<number> = new Set([10_070, 10_071]);

/** Nobody serves the subject: the stream is not there, or JetStream is not up yet. */
export function isNotFound(error: unknown): boolean {
  return apiCode(error) === streamNotFoundCode;
}

export function isNoMessage(error: unknown): boolean {
  return apiCode(error) === noMessageCode;
}

/** Waits for a call; its failures become ChangeStreamErrors. */
export async function streamCall<Result>(what: string, call: Promise<Result>): Promise<Result> {
  try {
    return await call;
  } catch (error) {
    throw asStreamError(what, error);
  }
}

/** What a failure of a call on a stream means to whoever publishes. */
export function asStreamError(what: string, error: unknown): ChangeStreamError {
  if (error instanceof ChangeStreamError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  const options = { cause: error };
  if (hasCode(error, ErrorCode.PermissionsViolation))
    return new ChangeStreamError('refused', `NATS does not permit to ${what}: ${reason}`, options);
  const moved = wrongPlaceCodes.has(apiCode(error) ?? 0) || isNotFound(error) || hasCode(error, ErrorCode.NoResponders);
  return new ChangeStreamError(moved ? 'moved' : 'unavailable', `cannot ${what}: ${reason}`, options);
}

function apiCode(error: unknown): number | undefined {
  return error instanceof NatsError ? error.api_error?.err_code : undefined;
}

function hasCode(error: unknown, code: ErrorCode): boolean {
  return error instanceof NatsError && error.code === String(code);
}
