import type { MethodDefinition } from '@grpc/grpc-js';
import { systemClock, type Clock } from '../platform/clock.ts';
import { parseAddress } from './address.ts';
import { callMetadata } from './call-metadata.ts';
import { mergeCallOptions, type CallOptions } from './call-options.ts';
import { throwIfAborted } from './cancellation.ts';
import type { ChannelKind, PreparedCall } from './channel.ts';
import { createChannel } from './create-channel.ts';
import { clientLimits } from './limits.ts';
import { assertUsable, type TlsSettings } from './tls-settings.ts';
import { TrafficManagerError } from './traffic-manager-error.ts';

/** Where to, and how calls are made that do not say so themselves. */
export interface TransportOptions {
  /** `host:port`, `grpc://host:port` or `unix:/path`; an IPv6 host stands in brackets. */
  readonly address: string;
  /** Default: plain text, without TLS. */
  readonly tls?: TlsSettings | undefined;
  /** For every call that says nothing else. Its `timeoutMs` is for calls with one answer only, never for streams. */
  readonly defaults?: CallOptions | undefined;
  /** What deadlines are counted from; gRPC wants them as wall time. Default: the machine's. */
  readonly clock?: Pick<Clock, 'wallMs'> | undefined;
  /** What speaks gRPC: `grpc-js`, or `wire`, our own engine, which costs a tenth of it. Default: `wire`. */
  readonly channel?: ChannelKind | undefined;
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

/** @throws TrafficManagerError INVALID_ARGUMENT when the address is none, or TLS cannot be spoken so. Connects nowhere yet. */
export function createTransport(given: TransportOptions): Transport {
  const { address, tls, defaults = {}, clock = systemClock, channel: kind = 'wire' } = given;
  if (tls !== undefined) assertUsable(tls);
  const channel = createChannel(kind, { target: parseAddress(address), tls });
  let isClosed = false;
  const close = (): void => {
    isClosed = true;
    channel.close();
  };
  const unaryDefaults = { timeoutMs: clientLimits.callTimeoutMsDefault, ...defaults };
  const streamDefaults = { ...defaults, timeoutMs: undefined };

  function prepare<Request, Response>(
    method: MethodDefinition<Request, Response>,
    options: CallOptions,
  ): PreparedCall<Request, Response> {
    const { signal, correlationId, timeoutMs = Infinity } = options;
    throwIfAborted(signal, correlationId);
    if (isClosed)
      throw new TrafficManagerError({ code: 'UNAVAILABLE', message: 'The client is closed.', correlationId });
    // Carried all the same it might be done, though nobody hears of it.
    if (timeoutMs <= 0)
      throw new TrafficManagerError({ code: 'DEADLINE_EXCEEDED', message: 'No time was given.', correlationId });
    const isLimited = Number.isFinite(timeoutMs) && timeoutMs <= clientLimits.timeoutMsMax;
    const deadlineMs = isLimited ? clock.wallMs() + timeoutMs : undefined;
    return { method, metadata: callMetadata(options), deadlineMs, signal, correlationId };
  }

  return {
    unary(method, request, options = {}) {
      // Not async: a promise around another costs three turns of the queue.
      try {
        return channel.unary(prepare(method, mergeCallOptions(unaryDefaults, options)), request);
      } catch (error) {
        if (error instanceof TrafficManagerError) return Promise.reject(error);
        throw error;
      }
    },
    async *serverStream(method, request, options = {}) {
      yield* channel.serverStream(prepare(method, mergeCallOptions(streamDefaults, options)), request);
    },
    async *duplex(method, requests, options = {}) {
      yield* channel.duplex(prepare(method, mergeCallOptions(streamDefaults, options)), requests);
    },
    close,
    [Symbol.dispose]: close,
  };
}
