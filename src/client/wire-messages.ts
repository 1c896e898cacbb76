import type { CallError } from '../../sidecar/wire/grpc/grpc-client.ts';
import type { CallResult } from '../../sidecar/wire/grpc/client-call.ts';
import type { PreparedCall } from './channel.ts';
import { errorFromCall } from './decode-error.ts';
import { TrafficManagerError } from './traffic-manager-error.ts';

/** @throws TrafficManagerError INTERNAL when the request is none of its type. */
export function serialize<Request, Response>(prepared: PreparedCall<Request, Response>, request: Request): Uint8Array {
  try {
    return prepared.method.requestSerialize(request);
  } catch (cause) {
    throw internal('The request cannot be serialized.', prepared, cause);
  }
}

/** @throws TrafficManagerError INTERNAL when the answer is none of its type. */
export function deserialize<Request, Response>(prepared: PreparedCall<Request, Response>, answer: Buffer): Response {
  try {
    return prepared.method.responseDeserialize(answer);
  } catch (cause) {
    throw internal('The answer of the server cannot be read.', prepared, cause);
  }
}

/** What a call that the engine failed throws. */
export function errorFromWire(error: CallError, correlationId: string | undefined): TrafficManagerError {
  const { status, result } = error;
  const trailer = (name: string): string | Uint8Array | undefined => trailerOf(result, name);
  return errorFromCall({ code: status.code, message: status.message, trailer, cause: error }, correlationId);
}

function trailerOf({ trailers }: CallResult, name: string): string | Uint8Array | undefined {
  const value = trailers?.get(name);
  if (value === undefined || !name.endsWith('-bin')) return value;
  // Several values of a binary field may share one line, with commas between them.
  return Buffer.from(value.split(',')[0] ?? '', 'base64');
}

function internal(
  message: string,
  { correlationId }: { readonly correlationId: string | undefined },
  cause: unknown,
): TrafficManagerError {
  return new TrafficManagerError({ code: 'INTERNAL', message, correlationId, cause });
}
