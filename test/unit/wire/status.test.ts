import { status } from '@grpc/grpc-js';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { DomainError, invalidFields, type Reason } from '../../../src/domain/domain-error.ts';
import { BadRequest, ErrorInfo, RetryInfo, Status } from '../../../src/gen/google/rpc/status.ts';
import { ErrorReason } from '../../../src/gen/trafficmanager/v1/error_reason.ts';
import { toDomainError, toStatus } from '../../../src/wire/status.ts';

const prefix = 'ERROR_REASON_';
const reasons = Object.keys(ErrorReason)
  .filter((name) => name !== 'UNRECOGNIZED' && name !== `${prefix}UNSPECIFIED`)
  .map((name) => name.slice(prefix.length) as Reason);

/** The status code that the comment of a reason in the proto begins with. */
function documentedCode(reason: Reason): number | undefined {
  const proto = readFileSync(new URL('../../../proto/trafficmanager/v1/error_reason.proto', import.meta.url), 'utf8');
  const lines = proto.split('\n');
  const line = lines.findIndex((each) => each.trim().startsWith(`${prefix}${reason} =`));
  const name = /^\s*\/\/ ([A-Z_]+):/.exec(lines[line - 1] ?? '')?.[1];
  return status[name as keyof typeof status];
}

function detailOf<Detail>(sent: Status, name: string, type: { decode(bytes: Uint8Array): Detail }): Detail {
  const details = sent.details.filter(({ typeUrl }) => typeUrl === `type.googleapis.com/google.rpc.${name}`);
  expect(details).toHaveLength(1);
  return type.decode(details[0]?.value ?? new Uint8Array());
}

describe('the status of an error', () => {
  test.for(reasons)('%s has the code that the proto says', (reason) => {
    expect(documentedCode(reason)).toBeDefined();
    expect(toStatus(new DomainError(reason, 'text'), 'c').code).toBe(documentedCode(reason));
  });

  test('carries exactly one ErrorInfo, with the domain and every value of the message', () => {
    const error = new DomainError('ETAG_MISMATCH', 'acme has etag b, not a', { metadata: { name: 'acme', etag: 'a' } });
    expect(detailOf(toStatus(error, 'c'), 'ErrorInfo', ErrorInfo)).toEqual({
      reason: 'ETAG_MISMATCH',
      domain: 'trafficmanager.v1',
      metadata: { name: 'acme', etag: 'a' },
    });
  });

  test('tells nothing of an unexpected error but the correlation id', () => {
    const error = toDomainError(new TypeError('password=hunter2 of the driver'));
    const sent = toStatus(error, 'correlation-7');
    expect(sent.code).toBe(status.INTERNAL);
    expect(sent.message).toBe('internal error (correlation id correlation-7)');
    expect(detailOf(sent, 'ErrorInfo', ErrorInfo)).toMatchObject({
      reason: 'INTERNAL',
      metadata: { correlation_id: 'correlation-7' },
    });
    expect(Buffer.from(Status.encode(sent).finish()).includes('hunter2')).toBe(false);
  });

  test('carries the delay before a retry', () => {
    const error = new DomainError('OVERLOADED', 'text', { retryDelayMs: 1_250 });
    expect(detailOf(toStatus(error, 'c'), 'RetryInfo', RetryInfo)).toEqual({
      retryDelay: { seconds: 1n, nanos: 250_000_000 },
    });
  });

  test('carries all violations of a request with a few', () => {
    const violations = Array.from({ length: 30 }, (_, index) => ({ field: `f[${index}]`, description: 'is required' }));
    expect(detailOf(toStatus(invalidFields(violations), 'c'), 'BadRequest', BadRequest)).toEqual({
      fieldViolations: violations,
    });
  });
});

describe('the status of an error that is too long for trailers', () => {
  const megabyte = 'é👋'.repeat(200_000);

  test.for([
    [
      '100,000 violations',
      invalidFields(Array.from({ length: 100_000 }, () => ({ field: 'f', description: 'wrong' }))),
    ],
    ['one violation with a long field', invalidFields([{ field: megabyte, description: 'is wrong' }])],
    ['one violation with a long description', invalidFields([{ field: 'f', description: megabyte }])],
    ['a long value', new DomainError('ETAG_MISMATCH', `not ${megabyte}`, { metadata: { etag: megabyte, name: 'n' } })],
  ] as const)('is cut: %s', ([, error]) => {
    const sent = toStatus(error, 'c');
    const base64Bytes = (Status.encode(sent).finish().length * 4) / 3;
    const percentEncodedBytes = encodeURIComponent(sent.message).length;
    expect(base64Bytes + percentEncodedBytes).toBeLessThan(8_192);
    // No character was cut in two.
    expect(sent.message).not.toContain('\uFFFD');
    expect(sent.message.isWellFormed()).toBe(true);
    expect(detailOf(sent, 'ErrorInfo', ErrorInfo).reason).toBe(error.reason);
  });

  test('keeps at least one violation, with its beginning', () => {
    const error = invalidFields([{ field: megabyte, description: megabyte }]);
    const { fieldViolations } = detailOf(toStatus(error, 'c'), 'BadRequest', BadRequest);
    expect(fieldViolations).toHaveLength(1);
    expect(fieldViolations[0]?.field).toMatch(/^é👋é👋.*\.\.\.$/u);
  });

  test('keeps the first violations, and says how many more there are', () => {
    const violations = Array.from({ length: 1_000 }, (_, index) => ({
      field: `endpoints[${index}]`,
      description: 'no',
    }));
    const { fieldViolations } = detailOf(toStatus(invalidFields(violations), 'c'), 'BadRequest', BadRequest);
    const kept = fieldViolations.length - 1;
    expect(kept).toBeGreaterThan(50);
    expect(fieldViolations).toEqual([
      ...violations.slice(0, kept),
      { field: '', description: `and ${1_000 - kept} more` },
    ]);
  });
});
