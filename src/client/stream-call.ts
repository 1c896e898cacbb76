import { once } from 'node:events';
import type { ClientDuplexStream, ClientReadableStream, ServiceError } from '@grpc/grpc-js';
import { cancelOnAbort, cancelledBySignal } from './cancellation.ts';
import { errorFromCall } from './decode-error.ts';
import type { PreparedCall } from './unary-call.ts';

/**
 * One request, many answers. The call begins with the first `next()`, and ends when the loop over it is left. A loop that is
 * slow holds back the server: at most 16 messages are read ahead (the object mode mark of a Node stream), the rest waits in
 * HTTP/2 flow control.
 */
export async function* serverStreamCall<Request, Response>(
  prepared: PreparedCall<Request, Response>,
  request: Request,
): AsyncGenerator<Response, void, void> {
  const { client, method, metadata, deadline } = prepared;
  const options = deadline === undefined ? {} : { deadline };
  const { path, requestSerialize, responseDeserialize } = method;
  yield* answers(
    client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request, metadata, options),
    prepared,
  );
}

/**
 * Many requests, many answers, each side at its own pace. `requests` is read only as fast as the server takes them, and no
 * further once the call has ended. When it throws, the call is cancelled and the loop over the answers throws its error.
 */
export async function* duplexCall<Request, Response>(
  prepared: PreparedCall<Request, Response>,
  requests: AsyncIterable<Request>,
): AsyncGenerator<Response, void, void> {
  const { client, method, metadata, deadline } = prepared;
  const options = deadline === undefined ? {} : { deadline };
  const { path, requestSerialize, responseDeserialize } = method;
  const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata, options);
  const ended = new AbortController();
  let requestsFailure: { readonly error: unknown } | undefined;
  sendAll(call, requests, ended.signal).catch((error: unknown) => {
    if (ended.signal.aborted) return;
    requestsFailure = { error };
    call.cancel();
  });
  try {
    yield* answers(call, prepared);
  } catch (error) {
    if (requestsFailure === undefined) throw error;
    throw requestsFailure.error;
  } finally {
    ended.abort();
  }
}

async function* answers<Request, Response>(
  call: ClientReadableStream<Response> | ClientDuplexStream<Request, Response>,
  { signal, correlationId }: PreparedCall<Request, Response>,
): AsyncGenerator<Response, void, void> {
  const stopListening = cancelOnAbort(call, signal);
  // A call that is cancelled below still reports that it was; without a listener this would end the process.
  call.on('error', () => undefined);
  try {
    for await (const message of call as AsyncIterable<Response>) yield message;
  } catch (error) {
    if (signal?.aborted === true) throw cancelledBySignal(signal, correlationId);
    throw errorFromCall(error as ServiceError, correlationId);
  } finally {
    stopListening();
    call.cancel();
  }
}

async function sendAll<Request>(
  call: ClientDuplexStream<Request, unknown>,
  requests: AsyncIterable<Request>,
  ended: AbortSignal,
): Promise<void> {
  for await (const request of requests) {
    if (ended.aborted) return;
    if (!call.write(request)) await once(call, 'drain', { signal: ended });
  }
  call.end();
}
