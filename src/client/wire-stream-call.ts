import type { ClientCall } from '../../sidecar/wire/grpc/client-call.ts';
import { CallError, type GrpcClient } from '../../sidecar/wire/grpc/grpc-client.ts';
import { statusCodes } from '../../sidecar/wire/grpc/status-code.ts';
import { AnswerQueue } from './answer-queue.ts';
import { cancelOnAbort, cancelledBySignal } from './cancellation.ts';
import type { CallTerms, PreparedCall } from './channel.ts';
import { callSettings } from './wire-call-settings.ts';
import { deserialize, errorFromWire, serialize } from './wire-messages.ts';

/** One request, many answers; what is read ahead is one window of the stream at most. */
export async function* wireServerStreamCall<Request, Response>(
  client: GrpcClient,
  prepared: PreparedCall<Request, Response>,
  request: Request,
): AsyncGenerator<Response, void, void> {
  const message = serialize(prepared, request);
  const begin = (): OpenCall => {
    const open = beginCall(client, prepared.method.path, prepared);
    open.call.send(message, true);
    return open;
  };
  const first = begin();
  const { isUnprocessed } = yield* answers(first, prepared, { mayBeUnprocessed: true });
  // The server has not looked at it: a server that drains says so of the calls that it missed.
  if (isUnprocessed) yield* answers(begin(), prepared, { mayBeUnprocessed: false });
}

/** Many requests, many answers. */
export async function* wireDuplexCall<Request, Response>(
  client: GrpcClient,
  prepared: PreparedCall<Request, Response>,
  requests: AsyncIterable<Request>,
): AsyncGenerator<Response, void, void> {
  const open = beginCall(client, prepared.method.path, prepared);
  let requestsFailure: { readonly error: unknown } | undefined;
  sendAll(open, prepared, requests).catch((error: unknown) => {
    if (open.queue.hasEnded) return;
    requestsFailure = { error };
    open.call.cancel();
  });
  try {
    yield* answers(open, prepared, { mayBeUnprocessed: false });
  } catch (error) {
    if (requestsFailure === undefined) throw error;
    throw requestsFailure.error;
  }
}

type OpenCall = { readonly call: ClientCall; readonly queue: AnswerQueue };

function beginCall(client: GrpcClient, path: string, terms: CallTerms): OpenCall {
  const queue = new AnswerQueue();
  const call = client.start(path, queue, callSettings(terms));
  queue.of(call);
  return { call, queue };
}

async function* answers<Request, Response>(
  { call, queue }: OpenCall,
  prepared: PreparedCall<Request, Response>,
  { mayBeUnprocessed }: { readonly mayBeUnprocessed: boolean },
): AsyncGenerator<Response, { readonly isUnprocessed: boolean }, void> {
  const { signal, correlationId } = prepared;
  const stopListening = cancelOnAbort(call, signal);
  try {
    for (;;) {
      const next = await queue.next();
      if (next instanceof Uint8Array) {
        // Who has cancelled the call wants nothing more of it, also not what had come before.
        if (signal?.aborted === true) throw cancelledBySignal(signal, correlationId);
        yield deserialize(prepared, next);
        continue;
      }
      if (next.status.code === statusCodes.OK) return { isUnprocessed: false };
      if (signal?.aborted === true) throw cancelledBySignal(signal, correlationId);
      if (next.isUnprocessed && mayBeUnprocessed) return { isUnprocessed: true };
      throw errorFromWire(new CallError(next), correlationId);
    }
  } finally {
    stopListening();
    call.cancel();
  }
}

async function sendAll<Request, Response>(
  { call, queue }: OpenCall,
  prepared: PreparedCall<Request, Response>,
  requests: AsyncIterable<Request>,
): Promise<void> {
  for await (const request of requests) {
    if (queue.hasEnded) return;
    if (!call.send(serialize(prepared, request))) await queue.untilDrained();
  }
  call.finish();
}
