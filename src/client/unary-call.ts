import type { Client, Metadata, MethodDefinition, ServiceError } from '@grpc/grpc-js';
import { cancelOnAbort, cancelledBySignal } from './cancellation.ts';
import { errorFromCall } from './decode-error.ts';

/** One call, ready to be made. */
export interface PreparedCall<Request, Response> {
  readonly client: Client;
  readonly method: MethodDefinition<Request, Response>;
  readonly metadata: Metadata;
  /** Undefined: never. */
  readonly deadline: Date | undefined;
  readonly signal: AbortSignal | undefined;
  readonly correlationId: string | undefined;
}

/** One request, one answer. */
export function unaryCall<Request, Response>(
  prepared: PreparedCall<Request, Response>,
  request: Request,
): Promise<Response> {
  const { client, method, metadata, deadline, signal, correlationId } = prepared;
  return new Promise((resolve, reject) => {
    const settle = (error: ServiceError | null, response?: Response) => {
      stopListening();
      if (error === null) resolve(response as Response);
      else if (signal?.aborted === true) reject(cancelledBySignal(signal, correlationId));
      else reject(errorFromCall(error, correlationId));
    };
    const options = deadline === undefined ? {} : { deadline };
    const { path, requestSerialize, responseDeserialize } = method;
    const call = client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      metadata,
      options,
      settle,
    );
    const stopListening = cancelOnAbort(call, signal);
  });
}
