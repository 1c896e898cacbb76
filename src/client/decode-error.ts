import { status } from '@grpc/grpc-js';
import type { Any } from '../gen/google/protobuf/any.ts';
import { BadRequest, ErrorInfo, RetryInfo, Status } from '../gen/google/rpc/status.ts';
import { clientLimits } from './limits.ts';
import { TrafficManagerError, type FieldViolation, type StatusCodeName } from './traffic-manager-error.ts';

/** The trailer that carries `google.rpc.Status`: https://google.aip.dev/193 and grpc-go's status package. */
const detailsTrailer = 'grpc-status-details-bin';
const correlationTrailer = 'x-correlation-id';

interface Details {
  readonly reason: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly fieldViolations: readonly FieldViolation[];
  readonly retryDelayMs: number | undefined;
}

/**
 * The error of one answer among several: `ResolveResult.error` of BatchResolve and StreamResolve is the status that a single
 * Resolve would have failed with.
 */
export function errorFromStatus(failed: Status): TrafficManagerError {
  return new TrafficManagerError({
    code: codeName(failed.code),
    message: failed.message,
    ...decodeDetails(failed.details),
  });
}

/** How a call failed, whatever carried it. */
export interface CallFailure {
  readonly code: number;
  readonly message: string;
  /** The first value of a trailer: bytes of a name that ends in `-bin`. */
  readonly trailer: (name: string) => string | Uint8Array | undefined;
  readonly cause: unknown;
}

/** What a call that failed throws; `sentCorrelationId` serves when the failure never reached a server. */
export function errorFromCall(failed: CallFailure, sentCorrelationId: string | undefined): TrafficManagerError {
  const { code, message, trailer, cause } = failed;
  const bytes = trailer(detailsTrailer);
  const detailed = bytes instanceof Uint8Array ? decodeOrNothing(Status, bytes) : undefined;
  return new TrafficManagerError({
    code: codeName(code),
    message,
    ...decodeDetails(detailed?.details ?? []),
    correlationId: trailer(correlationTrailer)?.toString() ?? sentCorrelationId,
    cause,
  });
}

function decodeDetails(details: readonly Any[]): Details {
  const info = find(details, 'google.rpc.ErrorInfo', ErrorInfo);
  const badRequest = find(details, 'google.rpc.BadRequest', BadRequest);
  const retryInfo = find(details, 'google.rpc.RetryInfo', RetryInfo);
  return {
    reason: info?.reason ?? '',
    metadata: info?.metadata ?? {},
    fieldViolations: badRequest?.fieldViolations ?? [],
    retryDelayMs: retryInfo?.retryDelay === undefined ? undefined : retryDelayMs(retryInfo.retryDelay),
  };
}

function find<Message>(details: readonly Any[], typeName: string, type: Decodable<Message>): Message | undefined {
  // The part before the last slash is a host that nobody asks, so any is accepted (google/protobuf/any.proto).
  const detail = details.find(({ typeUrl }) => typeUrl.slice(typeUrl.lastIndexOf('/') + 1) === typeName);
  return detail === undefined ? undefined : decodeOrNothing(type, detail.value);
}

interface Decodable<Message> {
  decode(input: Uint8Array): Message;
}

/** A detail that a proxy cut short must not hide the error that it was meant to explain. */
function decodeOrNothing<Message>(type: Decodable<Message>, bytes: Uint8Array): Message | undefined {
  try {
    return type.decode(bytes);
  } catch (error) {
    if (error instanceof Error) return undefined;
    throw error;
  }
}

function retryDelayMs(delay: { seconds: bigint; nanos: number }): number {
  const delayMs = Math.ceil(Number(delay.seconds) * 1_000 + delay.nanos / 1_000_000);
  return Math.min(Math.max(delayMs, 0), clientLimits.retryDelayMsMax);
}

function codeName(code: number): StatusCodeName {
  const name = status[code];
  // A code that gRPC does not know is UNKNOWN; an error that says OK is a server's mistake, and is not a success.
  return name === undefined || name === 'OK' ? 'UNKNOWN' : (name as StatusCodeName);
}
