import { status, type Metadata, type sendUnaryData } from '@grpc/grpc-js';
import { BadRequest, ErrorInfo, RetryInfo, Status } from '../../src/gen/google/rpc/status.ts';

/** What a handler throws to fail a call with details. */
export class Refusal extends Error {
  readonly code: status;
  readonly reason: string;
  readonly metadata: Record<string, string>;
  readonly violations: { field: string; description: string }[];
  readonly retryDelayMs: number | undefined;

  constructor(fields: {
    code: status;
    reason: string;
    message: string;
    metadata?: Record<string, string>;
    violations?: { field: string; description: string }[];
    retryDelayMs?: number;
  }) {
    super(fields.message);
    this.code = fields.code;
    this.reason = fields.reason;
    this.metadata = fields.metadata ?? {};
    this.violations = fields.violations ?? [];
    this.retryDelayMs = fields.retryDelayMs;
  }
}

/** Fails a call as the control plane does: a status, and its details in the trailers. */
export function replyWithError<Response>(error: unknown, trailers: Metadata, reply: sendUnaryData<Response>): void {
  if (!(error instanceof Refusal)) {
    reply({ code: status.INTERNAL, details: String(error), metadata: trailers });
    return;
  }
  const { code, message } = error;
  trailers.set(
    'grpc-status-details-bin',
    Buffer.from(Status.encode({ code, message, details: details(error) }).finish()),
  );
  reply({ code, details: message, metadata: trailers });
}

function details({ reason, metadata, violations, retryDelayMs }: Refusal): Status['details'] {
  const packed = [pack('ErrorInfo', ErrorInfo.encode({ reason, domain: 'trafficmanager.v1', metadata }).finish())];
  if (violations.length > 0)
    packed.push(pack('BadRequest', BadRequest.encode({ fieldViolations: violations }).finish()));
  if (retryDelayMs !== undefined) {
    const retryDelay = { seconds: BigInt(Math.floor(retryDelayMs / 1_000)), nanos: (retryDelayMs % 1_000) * 1_000_000 };
    packed.push(pack('RetryInfo', RetryInfo.encode({ retryDelay }).finish()));
  }
  return packed;
}

function pack(name: string, value: Uint8Array): Status['details'][number] {
  return { typeUrl: `type.googleapis.com/google.rpc.${name}`, value: Buffer.from(value) };
}

/** One field of the request is wrong. */
export function wrongField(field: string, description: string): Refusal {
  const violations = [{ field, description }];
  return new Refusal({ code: status.INVALID_ARGUMENT, reason: 'INVALID_FIELDS', message: 'Wrong.', violations });
}

/** There is none of that name. */
export function notFound(reason: string, name: string): Refusal {
  return new Refusal({ code: status.NOT_FOUND, reason, message: `There is no ${name}.`, metadata: { name } });
}
