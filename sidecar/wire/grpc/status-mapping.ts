import type { ErrorName } from '../error-code.ts';
import { type CallStatus, statusCodes } from './status-code.ts';

const ofHttp: ReadonlyMap<string, number> = new Map([
  ['400', statusCodes.INTERNAL],
  ['401', statusCodes.UNAUTHENTICATED],
  ['403', statusCodes.PERMISSION_DENIED],
  ['404', statusCodes.UNIMPLEMENTED],
  ['429', statusCodes.UNAVAILABLE],
  ['502', statusCodes.UNAVAILABLE],
  ['503', statusCodes.UNAVAILABLE],
  ['504', statusCodes.UNAVAILABLE],
]);

/** The status of a call that something answered which does not speak gRPC: grpc/doc/http-grpc-status-mapping.md. */
export function statusOfHttp(status: string): CallStatus {
  const code = ofHttp.get(status) ?? statusCodes.UNKNOWN;
  return { code, message: `HTTP ${status} instead of an answer of gRPC` };
}

/** The status of a call whose stream was reset: the table "Errors" of grpc/doc/PROTOCOL-HTTP2.md. */
export function statusOfReset(error: ErrorName): CallStatus {
  switch (error) {
    case 'REFUSED_STREAM':
      return { code: statusCodes.UNAVAILABLE, message: 'the server took no more calls' };
    case 'CONNECT_ERROR':
      return { code: statusCodes.UNAVAILABLE, message: 'the connection was lost' };
    case 'CANCEL':
      return { code: statusCodes.CANCELLED, message: 'the server cancelled the call' };
    case 'ENHANCE_YOUR_CALM':
      return { code: statusCodes.RESOURCE_EXHAUSTED, message: 'the server was asked for too much' };
    case 'INADEQUATE_SECURITY':
      return { code: statusCodes.PERMISSION_DENIED, message: 'the connection is not secure enough' };
    case 'NO_ERROR':
    case 'PROTOCOL_ERROR':
    case 'INTERNAL_ERROR':
    case 'FLOW_CONTROL_ERROR':
    case 'SETTINGS_TIMEOUT':
    case 'STREAM_CLOSED':
    case 'FRAME_SIZE_ERROR':
    case 'COMPRESSION_ERROR':
    case 'HTTP_1_1_REQUIRED':
      return { code: statusCodes.INTERNAL, message: `the stream was reset: ${error}` };
  }
}
