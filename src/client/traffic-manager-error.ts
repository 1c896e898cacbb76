import type { status } from '@grpc/grpc-js';

/** The name of a gRPC status code, such as `NOT_FOUND`: https://grpc.io/docs/guides/status-codes. */
export type StatusCodeName = Exclude<keyof typeof status, 'OK'>;

/** One field of a request that the server refused. */
export interface FieldViolation {
  /** The path of the field as the proto names it, such as `route.endpoints[0].url`. */
  readonly field: string;
  /** Why it was refused, and what would be right. */
  readonly description: string;
}

/** What a {@link TrafficManagerError} is made of. */
export interface TrafficManagerErrorFields {
  readonly code: StatusCodeName;
  readonly message: string;
  readonly reason?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly fieldViolations?: readonly FieldViolation[];
  readonly retryDelayMs?: number | undefined;
  readonly correlationId?: string | undefined;
  readonly cause?: unknown;
}

/**
 * The only error that calls of this library throw, whoever noticed the failure: the server, the network, the deadline or the
 * caller's signal. Decide by `code` and `reason`; `message` is for people and may change.
 */
export class TrafficManagerError extends Error {
  override readonly name = 'TrafficManagerError';
  /** The gRPC status code, by name. */
  readonly code: StatusCodeName;
  /**
   * A name of `trafficmanager.v1.ErrorReason` without its prefix, such as `ROUTE_INACTIVE`. Empty when the failure did not
   * come from Traffic Manager (no connection, deadline, cancellation, a proxy in between).
   */
  readonly reason: string;
  /** Every dynamic value of the message, by name, such as `revision`. Empty when there is none. */
  readonly metadata: Readonly<Record<string, string>>;
  /** All fields that were wrong, not only the first. Empty unless `reason` is `INVALID_FIELDS`. */
  readonly fieldViolations: readonly FieldViolation[];
  /** Milliseconds to wait at least before the same call is worth repeating. Undefined: the server gave no hint. */
  readonly retryDelayMs: number | undefined;
  /** The id that finds the call in the logs of every process it went through. Undefined: none was sent, and none came back. */
  readonly correlationId: string | undefined;

  constructor(fields: TrafficManagerErrorFields) {
    super(fields.message, { cause: fields.cause });
    this.code = fields.code;
    this.reason = fields.reason ?? '';
    this.metadata = fields.metadata ?? {};
    this.fieldViolations = fields.fieldViolations ?? [];
    this.retryDelayMs = fields.retryDelayMs;
    this.correlationId = fields.correlationId;
  }
}
