import { Metadata } from '@grpc/grpc-js';
import type { CallContext } from '../../src/platform/grpc/handlers.ts';

/** What a handler knows of a call that nobody cancels. */
export function callContext(fields: Partial<CallContext> = {}): CallContext {
  return {
    signal: new AbortController().signal,
    draining: new AbortController().signal,
    deadlineMs: undefined,
    correlationId: 'correlation-1',
    metadata: new Metadata(),
    ...fields,
  };
}
