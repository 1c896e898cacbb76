import { Buffer } from 'node:buffer';
import { encoded } from '../../src/platform/grpc/begun-answers.ts';
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
import type { AlarmClock } from '../wire/alarm.ts';
import type { Method, ServerCall } from '../wire/grpc/server-call.ts';
import type { HeaderField } from '../wire/hpack/header-field.ts';
import { CallPlace } from './call-place.ts';
import { bidi } from './wire-bidi.ts';
import { WireContext } from './wire-context.ts';
import { type Bound, end, fail } from './wire-ending.ts';
import { wireWriter } from './wire-writer.ts';

export type WireServiceOptions<Service extends ServiceShape> = ServiceOptions & {
  readonly clock: AlarmClock;
  readonly instants?: Instants<Service>;
};

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
      serialize: method.responseSerialize as unknown as Bound['serialize'],
      instant: (instants as Readonly<Record<string, Instant | undefined>>)[name],
      place: new CallPlace(),
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
  const { decode, serialize, instant, place } = bound;
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
      let answer: ReturnType<Instant>;
      try {
        answer = instant?.(request, place.of(call));
      } catch (error) {
        return fail(error, { call, context: contextOf(call, bound), bound });
      }
      if (answer === 'answered') {
        place.send();
        return call.succeed(givenTrailers(call));
      }
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
      end({ call, context, bound });
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

/** A correlation id goes back when one came in. None is made: it would go to no log and no other process. */
function givenTrailers({ list }: ServerCall): readonly HeaderField[] | undefined {
  const given = list.find(correlationHeader);
  // The field itself goes back: nothing is made of it.
  return given === undefined || givenCorrelationId(given.value) === undefined ? undefined : [given];
}
