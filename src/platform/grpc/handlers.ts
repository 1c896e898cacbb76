import type { Metadata } from '@grpc/grpc-js';

/** What a handler knows of its call. */
export type CallContext = {
  /** Fires when the caller cancelled, its deadline passed, or its connection broke. */
  readonly signal: AbortSignal;
  /** Fires when the server begins to shut down: endless streams end themselves. */
  readonly draining: AbortSignal;
  /** When the caller stops waiting, ms since the epoch by this machine's clock; undefined: never. */
  readonly deadlineMs: number | undefined;
  /** The caller's `x-correlation-id`, or a new one. */
  readonly correlationId: string;
  readonly metadata: Metadata;
};

/** A response that is encoded already: it goes out as it is. */
export type Encoded = Uint8Array & { readonly encoded?: never };

/** Where the answer of an instant goes out from, so that it is written once and copied never. */
export interface AnswerPlace {
  /** Makes room for a response of so many bytes, which is written at once to `target`, from `at` on. From then on the request is answered. */
  reserve(bytes: number): void;
  readonly target: Buffer;
  readonly at: number;
}

/**
 * Answers a request at once, from its bytes to those of a response in `place`, or begins to; undefined: not this one,
 * which is then for the method's handler. It answers as the handler would, and what it throws is the call's status. For methods whose answers are ready before they are
 * asked for: nothing else of a call (its context, a promise, the message as an object) is made for them. The bytes of the request are
 * used again once it returns.
 */
export type Instant = (request: Buffer, place: AnswerPlace) => 'answered' | BegunAnswer | undefined;

/** An answer of which some is there at once, and the rest is for the handler. */
export type BegunAnswer = {
  /** Of the request, what is not answered yet: a request of its own, in bytes that are not used for anything else. */
  readonly rest: Buffer;
  /** The whole response, from the handler's response to `rest`. */
  readonly complete: (response: Uint8Array) => Encoded;
  /** Lets go of what is there already: called once, when it has been completed or never will be. */
  readonly release: () => void;
};

/** Methods of a service that some requests are answered at once of. */
export type Instants<Service extends ServiceShape> = { readonly [Name in keyof Service]?: Instant };

/**
 * The sending side of a stream for whoever serves thousands of them from one loop: nothing waits, and bytes that many
 * streams share are copied for none of them.
 */
export type FrameSink = {
  /**
   * Sends a message that is framed already (`frame.ts`), in one or two pieces which are not changed afterwards. False: the
   * transport is full (64 KiB wait); this frame goes out all the same, but nothing else should follow before `onDrain`. After
   * the end of the call it does nothing, and answers false.
   */
  send(start: Buffer, rest?: Buffer): boolean;
  /** The one listener that is called whenever a full transport has become empty. */
  onDrain(listener: () => void): void;
};

/** The sending side of a stream: one writer, which owns backpressure. Either `write` or `send`, not both. */
export type StreamWriter<Response> = FrameSink & {
  /** Resolves when the transport takes more; rejects when the call is over. Await it before the next write. */
  write(response: Response | Encoded): Promise<void>;
};

// Shapes of ts-proto's `outputServices=grpc-js`; `never` because a serializer's parameter is contravariant.
type MethodShape = {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestDeserialize: (bytes: Buffer) => unknown;
  readonly responseSerialize: (value: never) => Buffer;
};

/** The generated definition of a service. */
export type ServiceShape = Readonly<Record<string, MethodShape>>;

type RequestOf<Method extends MethodShape> = ReturnType<Method['requestDeserialize']>;
type ResponseOf<Method extends MethodShape> = Parameters<Method['responseSerialize']>[0];

export type UnaryHandler<Request, Response> = (request: Request, context: CallContext) => Promise<Response | Encoded>;
export type ServerStreamHandler<Request, Response> = (
  request: Request,
  writer: StreamWriter<Response>,
  context: CallContext,
) => Promise<void>;
/** Where a method has instants, its handler answers each message with one, before it takes the next. */
export type BidiHandler<Request, Response> = (
  requests: AsyncIterable<Request>,
  writer: StreamWriter<Response>,
  context: CallContext,
) => Promise<void>;

type HandlerOf<Method extends MethodShape> = Method['requestStream'] extends true
  ? BidiHandler<RequestOf<Method>, ResponseOf<Method>>
  : Method['responseStream'] extends true
    ? ServerStreamHandler<RequestOf<Method>, ResponseOf<Method>>
    : UnaryHandler<RequestOf<Method>, ResponseOf<Method>>;

/** One handler for each method of a service. */
export type Handlers<Service extends ServiceShape> = { readonly [Name in keyof Service]: HandlerOf<Service[Name]> };
