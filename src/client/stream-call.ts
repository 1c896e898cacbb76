import { once } from 'node:events';
import type { Client, ClientDuplexStream, ClientReadableStream, ServiceError } from '@grpc/grpc-js';
import { cancelOnAbort, cancelledBySignal } from './cancellation.ts';
import type { PreparedCall } from './channel.ts';
import { grpcJsTerms } from './grpc-js-terms.ts';
import { errorFromServiceError } from './service-error.ts';

/** One request, many answers; at most 16 messages are read ahead (the object mode mark of a Node stream). */
export async function* serverStreamCall<Request, Response>(
  client: Client,
  prepared: PreparedCall<Request, Response>,
  request: Request,
): AsyncGenerator<Response, void, void> {
  const { method } = prepared;
  const { metadata, options } = grpcJsTerms(prepared);
  const { path, requestSerialize, responseDeserialize } = method;
  yield* answers(
    client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request, metadata, options),
    prepared,
  );
}

/** Many requests, many answers. */
export async function* duplexCall<Request, Response>(
  client: Client,
  prepared: PreparedCall<Request, Response>,
  requests: AsyncIterable<Request>,
): AsyncGenerator<Response, void, void> {
  const { method } = prepared;
  const { metadata, options } = grpcJsTerms(prepared);
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
    for await (const message of call as AsyncIterable<Response>) {
      // Who has cancelled the call wants nothing more of it, also not what had come before.
      signal?.throwIfAborted();
      yield message;
    }
  } catch (error) {
    if (signal?.aborted === true) throw cancelledBySignal(signal, correlationId);
    throw errorFromServiceError(error as ServiceError, correlationId);
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
