import type { MethodDefinition } from '@grpc/grpc-js';
import type { MetadataEntries } from './call-metadata.ts';
import type { TlsSettings } from './tls-settings.ts';

/** How a call is made, whatever it carries. */
export interface CallTerms {
  readonly metadata: MetadataEntries;
  /** Wall time, ms. Undefined: never. */
  readonly deadlineMs: number | undefined;
  /** Has not aborted yet. */
  readonly signal: AbortSignal | undefined;
  readonly correlationId: string | undefined;
}

/** One call, ready to be made. */
export interface PreparedCall<Request, Response> extends CallTerms {
  readonly method: MethodDefinition<Request, Response>;
}

/** Which server, and how it is reached. */
export interface ChannelOptions {
  /** A gRPC target, as `parseAddress` makes it. */
  readonly target: string;
  /** Undefined: plain text. */
  readonly tls: TlsSettings | undefined;
}

/**
 * Carries calls to one server: over one connection, made when it is first needed (over wire up to 8, where the server takes no
 * more streams on one; then calls wait for a stream), and made again when it breaks, at growing intervals while nobody answers;
 * calls in between fail at once with UNAVAILABLE. A connection without calls does not keep
 * the process alive. A call that the server says it has not looked at is made again once. Every failure is a
 * TrafficManagerError, and that of a call whose signal fired is CANCELLED with the signal's reason.
 *
 * Two adapters pass one contract suite: grpc-js, and wire, our own engine.
 */
export interface Channel {
  /** One request, one answer. */
  unary<Request, Response>(prepared: PreparedCall<Request, Response>, request: Request): Promise<Response>;
  /**
   * One request, many answers. The call begins with the first `next()`, and ends when the loop over it is left. A loop that is
   * slow holds back the server: a few messages are read ahead, the rest waits in HTTP/2 flow control.
   */
  serverStream<Request, Response>(
    prepared: PreparedCall<Request, Response>,
    request: Request,
  ): AsyncGenerator<Response, void, void>;
  /**
   * Many requests, many answers, each side at its own pace. `requests` is read only as fast as the server takes them, and no
   * further once the call has ended. When it throws, the call is cancelled and the loop over the answers throws its error.
   */
  duplex<Request, Response>(
    prepared: PreparedCall<Request, Response>,
    requests: AsyncIterable<Request>,
  ): AsyncGenerator<Response, void, void>;
  /** Takes no more calls; those under way finish. */
  close(): void;
}

export const channelKinds = ['grpc-js', 'wire'] as const;
/** What carries the calls of a client. */
export type ChannelKind = (typeof channelKinds)[number];
