import { expect, test } from 'vitest';
import { errorFromStatus, type ResolveResult } from '../../src/client/index.ts';
import { ErrorInfo } from '../../src/gen/google/rpc/status.ts';

test('an answer among several that failed is the same kind of error', () => {
  const value = ErrorInfo.encode({ reason: 'ROUTE_INACTIVE', domain: 'trafficmanager.v1', metadata: {} }).finish();
  const details = [{ typeUrl: 'type.googleapis.com/google.rpc.ErrorInfo', value: Buffer.from(value) }];
  const failed: ResolveResult['result'] = { $case: 'error', value: { code: 5, message: 'It is off.', details } };
  expect(errorFromStatus(failed.value)).toMatchObject({
    code: 'NOT_FOUND',
    reason: 'ROUTE_INACTIVE',
    message: 'It is off.',
  });
});

test('details that are broken do not hide the failure', () => {
  const details = [{ typeUrl: 'type.googleapis.com/google.rpc.ErrorInfo', value: Buffer.from([0xff]) }];
  expect(errorFromStatus({ code: 5, message: 'Gone.', details })).toMatchObject({ code: 'NOT_FOUND', reason: '' });
  expect(errorFromStatus({ code: 0, message: '', details: [] }).code).toBe('UNKNOWN');
  expect(errorFromStatus({ code: 99, message: '', details: [] }).code).toBe('UNKNOWN');
});
