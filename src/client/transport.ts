import { Client, credentials, type MethodDefinition } from '@grpc/grpc-js';
import { systemClock, type Clock } from '../platform/clock.ts';
import { parseAddress } from './address.ts';
import { callMetadata, mergeCallOptions, type CallOptions } from './call-options.ts';
import { throwIfAborted } from './cancellation.ts';
import { clientLimits } from './limits.ts';
import { duplexCall, serverStreamCall } from './stream-call.ts';
import { unaryCall, type PreparedCall } from './unary-call.ts';

/** Where to, and how calls are made that do not say so themselves. */
export interface TransportOptions {
  /** `host:port`, `grpc://host:port` or `unix:/path`; an IPv6 host stands in brackets. Plain text, without TLS. */
  readonly address: string;
  /** For every call that says nothing else. Its `timeoutMs` is for calls with one answer only, never for streams. */
  readonly defaults?: CallOptions | undefined;
  /** What deadlines are counted from; gRPC wants them as wall time. Default: the machine's. */
  readonly clock?: Pick<Clock, 'wallMs'> | undefined;
}

/**
 * One connection, made when it is first needed and made again when it breaks; calls of any gRPC method over it. A
 * `MethodDefinition` is what ts-proto, `@grpc/proto-loader` and grpc-tools all generate. Every failure is a TrafficManagerError.
 */
export interface Transport extends Disposable {
  /** One request, one answer. */
  unary<Request, Response>(
    method: MethodDefinition<Request, Response>,
    request: Request,
    options?: CallOptions,
  ): Promise<Response>;
  /** One request, many answers; the call begins when they are first asked for. */
  serverStream<Request, Response>(
    method: MethodDefinition<Request, Response>,
    request: Request,
    options?: CallOptions,
  ): AsyncGenerator<Response, void, void>;
  /** Many requests, many answers; the call begins when the answers are first asked for. */
  duplex<Request, Response>(
    method: MethodDefinition<Request, Response>,
    requests: AsyncIterable<Request>,
    options?: CallOptions,
  ): AsyncGenerator<Response, void, void>;
  /** Takes no more calls; those under way finish. */
  close(): void;
}

/** @throws TrafficManagerError INVALID_ARGUMENT when the address is none. Connects nowhere yet. */
export function createTransport({ address, defaults = {}, clock = systemClock }: TransportOptions): Transport {
  const client = new Client(parseAddress(address), credentials.createInsecure(), {
    'grpc.max_receive_message_length': clientLimits.receivedMessageBytesMax,
    'grpc.initial_reconnect_backoff_ms': clientLimits.reconnectMsMin,
    'grpc.min_reconnect_backoff_ms': clientLimits.reconnectMsMin,
    'grpc.max_reconnect_backoff_ms': clientLimits.reconnectMsMax,
    'grpc.keepalive_time_ms': clientLimits.keepaliveMs,
    'grpc.keepalive_timeout_ms': clientLimits.keepaliveTimeoutMs,
  });
  const unaryDefaults = { timeoutMs: clientLimits.callTimeoutMsDefault, ...defaults };
  const streamDefaults = { ...defaults, timeoutMs: undefined };

  function prepare<Request, Response>(
    method: MethodDefinition<Request, Response>,
    options: CallOptions,
  ): PreparedCall<Request, Response> {
    const { signal, correlationId, timeoutMs = Infinity } = options;
    throwIfAborted(signal, correlationId);
    const deadline = Number.isFinite(timeoutMs) ? new Date(clock.wallMs() + timeoutMs) : undefined;
    return { client, method, metadata: callMetadata(options), deadline, signal, correlationId };
  }

  return {
    async unary(method, request, options = {}) {
      return unaryCall(prepare(method, mergeCallOptions(unaryDefaults, options)), request);
    },
    async *serverStream(method, request, options = {}) {
      yield* serverStreamCall(prepare(method, mergeCallOptions(streamDefaults, options)), request);
    },
    async *duplex(method, requests, options = {}) {
      yield* duplexCall(prepare(method, mergeCallOptions(streamDefaults, options)), requests);
    },
    close: () => client.close(),
    [Symbol.dispose]: () => client.close(),
  };
}
