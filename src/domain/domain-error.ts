/** Why an operation failed; the names of `trafficmanager.v1.ErrorReason`. `wire/status.ts` gives each its gRPC code. */
export type Reason =
  | 'INVALID_FIELDS'
  | 'MALFORMED_MESSAGE'
  | 'REQUEST_ID_REUSED'
  | 'TENANT_NOT_FOUND'
  | 'ROUTE_NOT_FOUND'
  | 'ROUTE_INACTIVE'
  | 'VERSION_NOT_SELECTED'
  | 'TRAFFIC_POLICY_NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'ETAG_MISMATCH'
  | 'ROUTE_DELETED'
  | 'VERSION_NOT_FOUND'
  | 'VERSION_IN_USE'
  | 'SNAPSHOT_NOT_READY'
  | 'STALENESS_EXCEEDED'
  | 'REVISION_NOT_REACHED'
  | 'DATABASE_UNAVAILABLE'
  | 'CONTROL_PLANE_UNAVAILABLE'
  | 'REVISION_COMPACTED'
  | 'REVISION_IN_FUTURE'
  | 'HISTORY_DIVERGED'
  | 'WATCHER_TOO_SLOW'
  | 'WATCHER_LIMIT'
  | 'SHUTTING_DOWN'
  | 'INTERNAL'
  | 'DEADLINE_EXCEEDED'
  | 'OVERLOADED'
  | 'TENANT_DELETED'
  | 'SHRINK_REFUSED'
  | 'QUOTA_EXCEEDED'
  | 'RATE_LIMITED'
  | 'CREDENTIAL_REQUIRED'
  | 'PERMISSION_DENIED';

/** One field of a request that is wrong: its path, such as `route.endpoints[0].url`, and what would be right. */
export type FieldViolation = { readonly field: string; readonly description: string };

/** What an error is about. */
export type Resource = {
  readonly type: 'Route' | 'TrafficPolicy' | 'Tenant';
  readonly name: string;
  readonly tenant: string;
};

export type DomainErrorOptions = {
  /** Every dynamic value of the message, by name. */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly violations?: readonly FieldViolation[];
  readonly resource?: Resource;
  /** Try again no sooner than this. */
  readonly retryDelayMs?: number;
  readonly cause?: unknown;
};

/** An outcome the caller is told of: its message and metadata reach the client, its cause only the log. */
export class DomainError extends Error {
  readonly reason: Reason;
  readonly metadata: Readonly<Record<string, string>>;
  readonly violations: readonly FieldViolation[];
  readonly resource: Resource | undefined;
  readonly retryDelayMs: number | undefined;

  constructor(reason: Reason, message: string, options: DomainErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'DomainError';
    this.reason = reason;
    this.metadata = options.metadata ?? {};
    this.violations = options.violations ?? [];
    this.resource = options.resource;
    this.retryDelayMs = options.retryDelayMs;
  }

  /** The same error, telling more. */
  withMetadata(more: Readonly<Record<string, string>>): DomainError {
    const { reason, message, violations, resource, retryDelayMs, cause } = this;
    return new DomainError(reason, message, {
      metadata: { ...this.metadata, ...more },
      violations,
      cause,
      ...(resource === undefined ? {} : { resource }),
      ...(retryDelayMs === undefined ? {} : { retryDelayMs }),
    });
  }
}

/** The error of a request with wrong fields. */
export function invalidFields(violations: readonly FieldViolation[]): DomainError {
  const [first] = violations;
  const more = violations.length > 1 ? ` (and ${violations.length - 1} more)` : '';
  return new DomainError('INVALID_FIELDS', first ? `${first.field}: ${first.description}${more}` : 'invalid request', {
    violations,
  });
}
