import { DomainError } from '../domain/domain-error.ts';
import { Status } from '../gen/google/rpc/status.ts';
import type { ServiceOptions } from '../platform/grpc/service.ts';
import type { Logger } from '../platform/logger.ts';
import { decodeRequest } from '../wire/decode-request.ts';
import { isFault, toDomainError, toStatus } from '../wire/status.ts';

/** 5 s: enough for a client that reads at all, on any network that carries calls. */
const statusLingerMsDefault = 5_000;

/** What all our services have in common: our errors become statuses, and faults are logged with the id that the caller gets. */
export function serviceOptions({
  logger,
  draining,
  statusLingerMs = statusLingerMsDefault,
}: {
  logger: Logger;
  draining: AbortSignal;
  statusLingerMs?: number;
}): ServiceOptions {
  return {
    draining,
    statusLingerMs,
    decode: decodeRequest,
    shuttingDown: () => new DomainError('SHUTTING_DOWN', 'the server is shutting down; ask again', { retryDelayMs: 0 }),
    malformed: (cause) => new DomainError('MALFORMED_MESSAGE', 'the request cannot be decoded', { cause }),
    statusOf: (thrown, { method, correlationId }) => {
      const error = toDomainError(thrown);
      if (isFault(error)) logger.error({ error, method, correlationId }, 'a call failed');
      else logger.debug({ reason: error.reason, cause: error.cause, method, correlationId }, error.message);
      const status = toStatus(error, correlationId);
      return { code: status.code, details: status.message, statusDetails: Status.encode(status).finish() };
    },
  };
}
