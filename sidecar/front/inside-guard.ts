import { status } from '@grpc/grpc-js';
import type { CallGuard } from '../../src/platform/grpc/listening.ts';
import { secretMatcher } from '../../src/platform/secret-matcher.ts';

/** What a front sends to the server inside of it, and nobody else can. */
export const insideHeader = 'x-traffic-manager-inside';

const refused = {
  code: status.UNAUTHENTICATED,
  details: 'this port is for the sidecar itself',
  statusDetails: new Uint8Array(),
  correlationId: '',
} as const;

/** Lets pass what the front itself has passed on. */
export function insideGuard(secret: string): CallGuard {
  const isOurs = secretMatcher(secret);
  return (_path, headers) => (isOurs(headers.get(insideHeader) ?? '') ? undefined : refused);
}
