import type { EventEmitter } from 'node:events';
import { constants, type ServerHttp2Stream } from 'node:http2';
import {
  Metadata,
  type sendUnaryData,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { BegunAnswers, encoded } from './begun-answers.ts';
import { correlationHeader, givenCorrelationId, newCorrelationId } from './correlation.ts';
import { endAtOnce } from './end-at-once.ts';
import { framedAnswer } from './framed-answer.ts';
import type {
  BegunAnswer,
  BidiHandler,
  CallContext,
  Handlers,
  Instant,
  Instants,
  ServerStreamHandler,
  ServiceShape,
  UnaryHandler,
} from './handlers.ts';
import { http2StreamOf, http2Writer, whenWritable } from './http2-writer.ts';
import { untilDraining } from './until-draining.ts';

/** A status to end a call with. */
export type CallStatus = { readonly code: number; readonly details: string; readonly statusDetails: Uint8Array };

/** What a service's calls have in common. */
export type ServiceOptions = {
  /** Every error of a handler becomes a status here; faults are logged here too. */
  readonly statusOf: (error: unknown, call: { readonly method: string; readonly correlationId: string }) => CallStatus;
  /** Decodes a request with its method's decoder; throws when the bytes are not a message. */
  readonly decode: (deserialize: (bytes: Buffer) => unknown, bytes: Buffer) => unknown;
  /** The error of a message that cannot be decoded. */
  readonly malformed: (cause: unknown) => Error;
  readonly draining: AbortSignal;
  /** What a stream of requests ends with when the server shuts down. */
  readonly shuttingDown: () => Error;
  /**
   * How long a stream's last messages and its status may take to reach a client that does not read, ms; then the stream is
   * reset with ENHANCE_YOUR_CALM, and what it held is freed.
   */
  readonly statusLingerMs: number;
};

/** A request that could not be decoded travels as this to the handler's adapter: grpc-js would answer INTERNAL. */
class Undecodable {
  readonly error: Error;
  constructor(error: Error) {
    this.error = error;
  }
}

type Call<Request> =
  | ServerUnaryCall<Request | Undecodable, unknown>
  | ServerWritableStream<Request | Undecodable, unknown>
  | ServerDuplexStream<Request | Undecodable, unknown>;

/** Turns typed handlers into what `Server.addService` takes. `instants` are asked before them. */
export function bindService<Service extends ServiceShape>(
  service: Service,
  handlers: Handlers<Service>,
  { instants = {}, ...options }: ServiceOptions & { readonly instants?: Instants<Service> },
): { definition: ServiceDefinition; implementation: UntypedServiceImplementation } {
  const definition: Record<string, unknown> = {};
  const implementation: UntypedServiceImplementation = {};
  for (const [name, method] of Object.entries(service)) {
    const decode = (bytes: Buffer): unknown => {
      try {
        return options.decode(method.requestDeserialize, bytes);
      } catch (error) {
        return new Undecodable(options.malformed(error));
      }
    };
    const answer = (instants as Readonly<Record<string, Instant | undefined>>)[name];
    const instant = answer && { answer, decode };
    definition[name] = {
      ...method,
      originalName: name,
      requestDeserialize: instant === undefined ? decode : (bytes: Buffer): unknown => bytes,
      responseSerialize: (value: unknown): Buffer =>
        value instanceof Uint8Array ? asBuffer(value) : method.responseSerialize(value as never),
    };
    const handler = handlers[name as keyof Service] as unknown;
    const serialize = method.responseSerialize as unknown as Serialize;
    const streaming = { method: method.path, serialize, options, instant };
    if (method.requestStream) implementation[name] = bidi(handler as BidiHandler<unknown, unknown>, streaming);
    else if (method.responseStream)
      implementation[name] = serverStream(handler as ServerStreamHandler<unknown, unknown>, streaming);
    else implementation[name] = unary(handler as UnaryHandler<unknown, unknown>, streaming);
  }
  return { definition: definition as unknown as ServiceDefinition, implementation };
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function unary(handler: UnaryHandler<unknown, unknown>, { method, serialize, options, instant }: Streaming) {
  return (call: ServerUnaryCall<unknown, unknown>, callback: sendUnaryData<unknown>): void => {
    let { request } = call;
    let begun: BegunAnswer | undefined;
    if (instant !== undefined) {
      let answer: Buffer | BegunAnswer | undefined;
      try {
        answer = framedAnswer(instant.answer, request as Buffer);
      } catch (error) {
        return callback({ ...failure(error, method, contextOf(call, options), options), name: 'Error', message: '' });
      }
      if (Buffer.isBuffer(answer)) return endAtOnce(call, answer, correlationIdIn(call));
      begun = answer;
      request = instant.decode(begun?.rest ?? (request as Buffer));
    }
    const context = contextOf(call, options);
    const run = async (): Promise<unknown> => {
      const response = await handler(decoded(request), context);
      return begun === undefined ? response : begun.complete(encoded(response, serialize));
    };
    run()
      .finally(() => begun?.release())
      .then(
        (response) => callback(null, response, trailersOf(context)),
        (error: unknown) => callback({ ...failure(error, method, context, options), name: 'Error', message: '' }),
      );
  };
}

type Serialize = (response: unknown) => Uint8Array;
type Streaming = {
  readonly method: string;
  readonly serialize: Serialize;
  readonly options: ServiceOptions;
  /** Set: requests come undecoded. */
  readonly instant: { readonly answer: Instant; readonly decode: (bytes: Buffer) => unknown } | undefined;
};

function serverStream(handler: ServerStreamHandler<unknown, unknown>, streaming: Streaming) {
  return (call: ServerWritableStream<unknown, unknown>): void => {
    const context = contextOf(call, streaming.options);
    call.sendMetadata(new Metadata());
    const writer = http2Writer(http2StreamOf(call), streaming.serialize);
    const run = async (): Promise<void> => handler(decoded(call.request), writer, context);
    endWith(call, run(), { ...streaming, context });
  };
}

function bidi(handler: BidiHandler<unknown, unknown>, streaming: Streaming) {
  return (call: ServerDuplexStream<unknown, unknown>): void => {
    const context = contextOf(call, streaming.options);
    call.sendMetadata(new Metadata());
    const stream = http2StreamOf(call);
    const begun = new BegunAnswers();
    const writer = begun.completing(http2Writer(stream, streaming.serialize), streaming.serialize);
    const requests = decodedEach(call, stream, { ...streaming, begun });
    endWith(
      call,
      handler(requests, writer, context).finally(() => begun.end()),
      { ...streaming, context },
    );
  };
}

/** What an instant answers, the handler never sees; it is answered in its place in the order all the same. */
async function* decodedEach(
  call: ServerDuplexStream<unknown, unknown>,
  stream: ServerHttp2Stream,
  { instant, begun, options }: Streaming & { readonly begun: BegunAnswers },
): AsyncIterable<unknown> {
  // A plain loop destroys the call when it is left early, and a destroyed call sends no status: the client would wait for ever.
  for await (const request of untilDraining<unknown>(call.iterator({ destroyOnReturn: false }), options)) {
    const answer = instant && framedAnswer(instant.answer, request as Buffer);
    if (instant === undefined || answer === undefined)
      yield decoded(instant === undefined ? request : instant.decode(request as Buffer));
    else if (!Buffer.isBuffer(answer)) yield decoded(instant.decode(begun.begin(answer)));
    else if (stream.destroyed || stream.writableEnded) return;
    else if (!stream.write(answer)) await whenWritable(stream);
  }
}

function decoded(request: unknown): unknown {
  if (request instanceof Undecodable) throw request.error;
  return request;
}

type Ending = { readonly method: string; readonly context: CallContext; readonly options: ServiceOptions };

function endWith(
  call: ServerWritableStream<unknown, unknown> | ServerDuplexStream<unknown, unknown>,
  work: Promise<void>,
  { method, context, options }: Ending,
): void {
  work
    .then(
      () => call.end(trailersOf(context)),
      (error: unknown) => {
        // After a cancellation nobody reads the status, and the error is only its echo.
        if (!context.signal.aborted) call.emit('error', failure(error, method, context, options));
      },
    )
    .finally(() => resetUnread(call, options.statusLingerMs));
}

/** A status goes out behind the messages before it, which a client that does not read keeps where they are: for ever, if it may. */
function resetUnread(call: object, statusLingerMs: number): void {
  const stream = http2StreamOf(call);
  if (stream.destroyed || stream.writableLength === 0) return;
  const timer = setTimeout(() => stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM), statusLingerMs);
  timer.unref();
  stream.once('close', () => clearTimeout(timer));
}

function failure(
  error: unknown,
  method: string,
  context: CallContext,
  options: ServiceOptions,
): { code: number; details: string; metadata: Metadata } {
  const { code, details, statusDetails } = options.statusOf(error, { method, correlationId: context.correlationId });
  const metadata = trailersOf(context);
  metadata.set('grpc-status-details-bin', asBuffer(statusDetails));
  return { code, details, metadata };
}

function trailersOf(context: CallContext): Metadata {
  const trailers = new Metadata();
  trailers.set(correlationHeader, context.correlationId);
  return trailers;
}

/** One for all calls: every call is cancelled in the end, and an error of its own is 4 % of a write. */
const callIsOver = new Error('the call is over');

function contextOf<Request>(call: Call<Request>, { draining }: ServiceOptions): CallContext {
  const abort = new AbortController();
  // The overloads of the three call types differ; all of them emit this event.
  (call as EventEmitter).on('cancelled', () => abort.abort(callIsOver));
  const deadline = call.getDeadline();
  const deadlineMs = deadline instanceof Date ? deadline.getTime() : deadline;
  return {
    signal: abort.signal,
    draining,
    deadlineMs: Number.isFinite(deadlineMs) ? deadlineMs : undefined,
    correlationId: correlationIdOf(call),
    metadata: call.metadata,
  };
}

function correlationIdOf<Request>(call: Call<Request>): string {
  return correlationIdIn(call) ?? newCorrelationId();
}

function correlationIdIn<Request>(call: Call<Request>): string | undefined {
  return givenCorrelationId(call.metadata.get(correlationHeader)[0]?.toString());
}
