import { status } from '@grpc/grpc-js';
import { DomainError, type FieldViolation, type Reason } from '../domain/domain-error.ts';
import { limits } from '../domain/limits.ts';
import type { Status } from '../gen/google/rpc/status.ts';
import { BadRequest, ErrorInfo, ResourceInfo, RetryInfo } from '../gen/google/rpc/status.ts';

const errorDomain = 'trafficmanager.v1';

/** Every reason and its gRPC status code: the one map from our errors to gRPC's. */
const codes = {
  INVALID_FIELDS: status.INVALID_ARGUMENT,
  MALFORMED_MESSAGE: status.INVALID_ARGUMENT,
  REQUEST_ID_REUSED: status.INVALID_ARGUMENT,
  TENANT_NOT_FOUND: status.NOT_FOUND,
  ROUTE_NOT_FOUND: status.NOT_FOUND,
  ROUTE_INACTIVE: status.NOT_FOUND,
  VERSION_NOT_SELECTED: status.NOT_FOUND,
  TRAFFIC_POLICY_NOT_FOUND: status.NOT_FOUND,
  ALREADY_EXISTS: status.ALREADY_EXISTS,
  ETAG_MISMATCH: status.ABORTED,
  ROUTE_DELETED: status.FAILED_PRECONDITION,
  VERSION_NOT_FOUND: status.FAILED_PRECONDITION,
  VERSION_IN_USE: status.FAILED_PRECONDITION,
  SNAPSHOT_NOT_READY: status.UNAVAILABLE,
  STALENESS_EXCEEDED: status.UNAVAILABLE,
  REVISION_NOT_REACHED: status.UNAVAILABLE,
  DATABASE_UNAVAILABLE: status.UNAVAILABLE,
  CONTROL_PLANE_UNAVAILABLE: status.UNAVAILABLE,
  REVISION_COMPACTED: status.OUT_OF_RANGE,
  REVISION_IN_FUTURE: status.OUT_OF_RANGE,
  HISTORY_DIVERGED: status.OUT_OF_RANGE,
  WATCHER_TOO_SLOW: status.RESOURCE_EXHAUSTED,
  WATCHER_LIMIT: status.RESOURCE_EXHAUSTED,
  SHUTTING_DOWN: status.UNAVAILABLE,
  INTERNAL: status.INTERNAL,
  DEADLINE_EXCEEDED: status.DEADLINE_EXCEEDED,
  OVERLOADED: status.RESOURCE_EXHAUSTED,
  TENANT_DELETED: status.FAILED_PRECONDITION,
  SHRINK_REFUSED: status.FAILED_PRECONDITION,
  QUOTA_EXCEEDED: status.RESOURCE_EXHAUSTED,
  RATE_LIMITED: status.RESOURCE_EXHAUSTED,
  CREDENTIAL_REQUIRED: status.UNAUTHENTICATED,
  PERMISSION_DENIED: status.PERMISSION_DENIED,
} as const satisfies Record<Reason, status>;

/** The reason that another process of ours gave; undefined when it is none that this program knows. */
export function reasonFromName(name: string): Reason | undefined {
  return Object.hasOwn(codes, name) ? (name as Reason) : undefined;
}

/** Any error as the caller may see it: a DomainError as it is, anything else as INTERNAL without its text. */
export function toDomainError(error: unknown): DomainError {
  return error instanceof DomainError ? error : new DomainError('INTERNAL', 'internal error', { cause: error });
}

/** Whether an error is a fault of ours that must be logged, not an answer. */
export function isFault(error: DomainError): boolean {
  return error.reason === 'INTERNAL';
}

/** The google.rpc.Status of an error: one ErrorInfo, and what else applies. What is too long for trailers is cut. */
export function toStatus(error: DomainError, correlationId: string): Status {
  const values = { ...error.metadata, ...(isFault(error) ? { correlation_id: correlationId } : {}) };
  const metadata = Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, shortened(value, limits.errorValueBytesMax)]),
  );
  const details = [pack('ErrorInfo', ErrorInfo.encode({ reason: error.reason, domain: errorDomain, metadata }))];
  if (error.violations.length > 0)
    details.push(pack('BadRequest', BadRequest.encode({ fieldViolations: fitting(error.violations) })));
  if (error.retryDelayMs !== undefined) {
    const retryDelay = {
      seconds: BigInt(Math.floor(error.retryDelayMs / 1_000)),
      nanos: Math.round((error.retryDelayMs % 1_000) * 1e6),
    };
    details.push(pack('RetryInfo', RetryInfo.encode({ retryDelay })));
  }
  if (error.resource !== undefined) {
    const { type, name, tenant } = error.resource;
    details.push(
      pack(
        'ResourceInfo',
        ResourceInfo.encode({
          resourceType: `${errorDomain}/${type}`,
          resourceName: name,
          owner: tenant,
          description: '',
        }),
      ),
    );
  }
  const message = isFault(error) ? `${error.message} (correlation id ${correlationId})` : error.message;
  return { code: codes[error.reason], message: shortened(message, limits.errorMessageBytesMax), details };
}

/** The first violations, as many as trailers take, and how many more there are. */
function fitting(violations: readonly FieldViolation[]): FieldViolation[] {
  const kept: FieldViolation[] = [];
  let bytes = 0;
  for (const each of violations) {
    const field = shortened(each.field, limits.errorValueBytesMax);
    const description = shortened(each.description, limits.errorValueBytesMax);
    bytes += Buffer.byteLength(field) + Buffer.byteLength(description);
    if (bytes > limits.errorViolationsBytesMax)
      return [...kept, { field: '', description: `and ${violations.length - kept.length} more` }];
    kept.push({ field, description });
  }
  return kept;
}

/** A text with its end cut off between two characters, and an ellipsis in its place, when it is too long. */
function shortened(text: string, bytesMax: number): string {
  if (Buffer.byteLength(text) <= bytesMax) return text;
  // A UTF-16 unit makes at least one byte, so what counts is in the first `bytesMax` of them.
  const bytes = Buffer.from(text.slice(0, bytesMax)).subarray(0, bytesMax - ellipsis.length);
  return new TextDecoder().decode(bytes, { stream: true }) + ellipsis;
}

const ellipsis = '...';

function pack(name: string, writer: { finish(): Uint8Array<ArrayBuffer> }): { typeUrl: string; value: Buffer } {
  return { typeUrl: `type.googleapis.com/google.rpc.${name}`, value: Buffer.from(writer.finish()) };
}
