import { ErrorInfo, Status } from '../../src/gen/google/rpc/status.ts';

/** The status in the trailers of a raw HTTP/2 stream, with its ErrorInfo. */
export function decodeHttp2Status(trailers: Readonly<Record<string, unknown>>): {
  readonly code: number;
  readonly errorInfo: ErrorInfo | undefined;
} {
  const details = Status.decode(Buffer.from(String(trailers['grpc-status-details-bin']), 'base64'));
  const info = details.details.find(({ typeUrl }) => typeUrl === 'type.googleapis.com/google.rpc.ErrorInfo');
  return { code: Number(trailers['grpc-status']), errorInfo: info && ErrorInfo.decode(info.value) };
}
