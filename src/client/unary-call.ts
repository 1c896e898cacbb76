import type { Client, ServiceError } from '@grpc/grpc-js';
import { cancelOnAbort, cancelledBySignal } from './cancellation.ts';
import type { PreparedCall } from './channel.ts';
import { grpcJsTerms } from './grpc-js-terms.ts';
import { errorFromServiceError } from './service-error.ts';

/** One request, one answer. */
export function unaryCall<Request, Response>(
  client: Client,
  prepared: PreparedCall<Request, Response>,
  request: Request,
): Promise<Response> {
  const { method, signal, correlationId } = prepared;
  const { metadata, options } = grpcJsTerms(prepared);
  return new Promise((resolve, reject) => {
    const settle = (error: ServiceError | null, response?: Response) => {
      stopListening();
      if (error === null) resolve(response as Response);
      else if (signal?.aborted === true) reject(cancelledBySignal(signal, correlationId));
      else reject(errorFromServiceError(error, correlationId));
    };
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
