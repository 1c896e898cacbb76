import { BegunAnswers, encoded } from '../../src/platform/grpc/begun-answers.ts';
import { correlationHeader, givenCorrelationId } from '../../src/platform/grpc/correlation.ts';
import type {
  BegunAnswer,
  BidiHandler,
  Handlers,
  Instant,
  Instants,
  ServerStreamHandler,
  ServiceShape,
  UnaryHandler,
} from '../../src/platform/grpc/handlers.ts';
import type { ServiceOptions } from '../../src/platform/grpc/service.ts';
import { untilDraining } from '../../src/platform/grpc/until-draining.ts';
import type { AlarmClock } from '../wire/alarm.ts';
import type { Method, RequestListener, ServerCall } from '../wire/grpc/server-call.ts';
import { okStatus } from '../wire/grpc/status-code.ts';
import { HeaderField } from '../wire/hpack/header-field.ts';
import { RequestQueue } from './request-queue.ts';
import { WireContext } from './wire-context.ts';
import { wireWriter } from './wire-writer.ts';

export type WireServiceOptions<Service extends ServiceShape> = ServiceOptions & {
  readonly clock: AlarmClock;
  readonly instants?: Instants<Service>;
};

type Options = ServiceOptions & { readonly clock: AlarmClock };
type Serialize = (response: unknown) => Uint8Array;
type Decode = (bytes: Buffer) => unknown;
type Bound = {
  readonly path: string;
  readonly decode: Decode;
  readonly serialize: Serialize;
  readonly instant: Instant | undefined;
  readonly options: Options;
};

type Ending = { readonly call: ServerCall; readonly context: WireContext; readonly bound: Bound };

/** Turns typed handlers into methods of the engine, by path: what `bindService` is for grpc-js. */
export function bindWireService<Service extends ServiceShape>(
  service: Service,
  handlers: Handlers<Service>,
  { instants = {}, ...options }: WireServiceOptions<Service>,
): Map<string, Method> {
  const methods = new Map<string, Method>();
  for (const [name, method] of Object.entries(service)) {
    const handler = handlers[name as keyof Service] as unknown;
    const bound: Bound = {
      path: method.path,
      decode: (bytes) => {
        try {
          return options.decode(method.requestDeserialize, bytes);
        } catch (error) {
          throw options.malformed(error);
        }
      },
      serialize: method.responseSerialize as unknown as Serialize,
      instant: (instants as Readonly<Record<string, Instant | undefined>>)[name],
      options,
    };
    if (method.requestStream) methods.set(method.path, bidi(handler as BidiHandler<unknown, unknown>, bound));
    else if (method.responseStream)
      methods.set(method.path, serverStream(handler as ServerStreamHandler<unknown, unknown>, bound));
    else methods.set(method.path, unary(handler as UnaryHandler<unknown, unknown>, bound));
  }
  return methods;
}

function contextOf(call: ServerCall, { options }: Bound): WireContext {
  const context = new WireContext(call, { draining: options.draining, wallMs: () => options.clock.wallMs() });
  call.listener = context;
  return context;
}

function unary(handler: UnaryHandler<unknown, unknown>, bound: Bound): Method {
  const { decode, serialize, instant } = bound;
  const run = async (request: Buffer, call: ServerCall, begun?: BegunAnswer): Promise<void> => {
    const context = contextOf(call, bound);
    try {
      const response = encoded(await handler(decode(request), context), serialize);
      call.answer(begun === undefined ? response : begun.complete(response), context.trailers);
    } catch (error) {
      fail(error, { call, context, bound });
    } finally {
      begun?.release();
      call.vacate();
    }
  };
  return {
    requests: 'one',
    handle: (request, call) => {
      let answer: Buffer | BegunAnswer | undefined;
      try {
        answer = instant?.(request);
      } catch (error) {
        return fail(error, { call, context: contextOf(call, bound), bound });
      }
      if (Buffer.isBuffer(answer)) return call.answerRaw(answer, givenTrailers(call));
      // Its bytes are used again, and a field of bytes is decoded to a part of them.
      if (call.occupy(request.length)) void run(answer?.rest ?? Buffer.from(request), call, answer);
      else answer?.release();
    },
  };
}

function serverStream(handler: ServerStreamHandler<unknown, unknown>, bound: Bound): Method {
  const run = async (request: Buffer, call: ServerCall): Promise<void> => {
    const context = contextOf(call, bound);
    call.begin();
    const writer = wireWriter(call, context, bound.serialize);
    try {
      await handler(bound.decode(request), writer, context);
      end(call, context, bound);
    } catch (error) {
      fail(error, { call, context, bound });
    } finally {
      call.vacate();
    }
  };
  return {
    requests: 'one',
    handle: (request, call) => {
      if (call.occupy(request.length)) void run(Buffer.from(request), call);
    },
  };
}

function bidi(handler: BidiHandler<unknown, unknown>, bound: Bound): Method {
  const run = async (call: ServerCall, context: WireContext, queue: RequestQueue): Promise<void> => {
    const begun = new BegunAnswers();
    const writer = begun.completing(wireWriter(call, context, bound.serialize), bound.serialize);
    try {
      await handler(decodedEach(queue, { call, context, bound, begun }), writer, context);
      end(call, context, bound);
    } catch (error) {
      fail(error, { call, context, bound });
    } finally {
      begun.end();
      call.vacate();
    }
  };
  return {
    requests: 'many',
    open: (call): RequestListener => {
      const context = new WireContext(call, {
        draining: bound.options.draining,
        wallMs: () => bound.options.clock.wallMs(),
      });
      const queue = new RequestQueue(call);
      call.begin();
      call.occupy(0);
      void run(call, context, queue);
      return {
        message: (bytes, isShared) => queue.push(isShared ? Buffer.from(bytes) : bytes),
        ended: () => queue.end(),
        drained: () => context.drained(),
        over: (why) => {
          context.over(why);
          queue.end();
        },
      };
    },
  };
}

/** What an instant answers, the handler never sees; it is answered in its place in the order all the same. */
async function* decodedEach(
  queue: RequestQueue,
  { call, context, bound, begun }: Ending & { readonly begun: BegunAnswers },
): AsyncIterable<unknown> {
  const { instant, decode, options } = bound;
  for await (const request of untilDraining(queue, options)) {
    const answer = instant?.(request);
    if (answer === undefined) yield decode(request);
    else if (!Buffer.isBuffer(answer)) yield decode(begun.begin(answer));
    else if (call.isOver) return;
    else if (!call.sendRaw(answer)) await context.untilDrained();
  }
}

function end(call: ServerCall, context: WireContext, { options }: Bound): void {
  call.finish(okStatus, context.trailers);
  resetUnread(call, options);
}

function fail(error: unknown, { call, context, bound }: Ending): void {
  // After a cancellation nobody reads the status, and the error is only its echo.
  if (context.isOver) return;
  const { options, path } = bound;
  const status = options.statusOf(error, { method: path, correlationId: context.correlationId });
  const details = new HeaderField('grpc-status-details-bin', Buffer.from(status.statusDetails).toString('base64'));
  call.finish({ code: status.code, message: status.details }, [...context.trailers, details]);
  resetUnread(call, options);
}

/** A status goes out behind the messages before it, which a client that does not read keeps where they are: for ever, if it may. */
function resetUnread(call: ServerCall, { clock, statusLingerMs }: Options): void {
  if (!call.isWaiting) return;
  const ring = (): void => call.abort('ENHANCE_YOUR_CALM');
  clock.arm({ dueMs: 0, ring }, clock.monotonicMs() + statusLingerMs);
}

/** A correlation id goes back when one came in. None is made: it would go to no log and no other process. */
function givenTrailers(call: ServerCall): readonly HeaderField[] | undefined {
  const given = givenCorrelationId(call.list.get(correlationHeader));
  return given === undefined ? undefined : [new HeaderField(correlationHeader, given)];
}
