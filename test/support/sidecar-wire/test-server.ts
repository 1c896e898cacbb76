import type { TlsOptions } from 'node:tls';
import { WheelClock } from '../../../sidecar/front/wheel-clock.ts';
import { repeatedByServer } from '../../../sidecar/wire/grpc/fields.ts';
import { GrpcAcceptor } from '../../../sidecar/wire/grpc/grpc-acceptor.ts';
import { HeaderField } from '../../../sidecar/wire/hpack/header-field.ts';
import type { CallListener, Method, RequestListener, ServerCall } from '../../../sidecar/wire/grpc/server-call.ts';
import { okStatus, statusCodes } from '../../../sidecar/wire/grpc/status-code.ts';
import { wireLimits, type WireLimits } from '../../../sidecar/wire/limits.ts';
import { WireServer } from '../../../sidecar/wire/wire-server.ts';
import { systemClock } from '../../../src/platform/clock.ts';

/** What the methods of {@link testMethods} saw. */
export type Seen = { readonly events: string[]; readonly calls: ServerCall[] };

/** One method of each shape, and some that go wrong: `/test.Echo/...`. What they saw is kept if it is asked for. */
export function testMethods(seen?: Seen): ReadonlyMap<string, Method> {
  const hears = (name: string): CallListener => ({
    over: (why) => void seen?.events.push(`${name} ${why}`),
    drained: () => void seen?.events.push(`${name} drained`),
  });
  const methods: Record<string, Method> = {
    Unary: {
      requests: 'one',
      handle: (request, call) => {
        const trailers = [...call.list.fields].filter(({ name }) => name.startsWith('x-'));
        call.answer(Buffer.from(request), trailers);
      },
    },
    /** Answers in a later turn, unless the call is over by then. */
    Later: {
      requests: 'one',
      handle: (request, call) => {
        const copy = Buffer.from(request);
        call.listener = hears('Later');
        setImmediate(() => call.answer(copy));
      },
    },
    Never: {
      requests: 'one',
      handle: (_request, call) => {
        seen?.calls.push(call);
        call.listener = hears('Never');
      },
    },
    Refused: {
      requests: 'one',
      handle: (_request, call) =>
        call.finish({ code: statusCodes.FAILED_PRECONDITION, message: 'nö: 100 %' }, [
          new HeaderField('x-why-bin', Buffer.from([0, 255, 1]).toString('base64')),
        ]),
    },
    /** Sends the message as often as its first byte says. */
    ServerStream: {
      requests: 'one',
      handle: (request, call) => {
        const copy = Buffer.from(request);
        for (let sent = 0; sent < (copy[0] ?? 0); sent++) call.send(copy);
        call.finish(okStatus);
      },
    },
    /** Answers the number of bytes of all messages. */
    ClientStream: {
      requests: 'many',
      open: (call): RequestListener => {
        let bytes = 0;
        return {
          ...hears('ClientStream'),
          message: (message) => void (bytes += message.length),
          ended: () => call.answer(Buffer.from(String(bytes))),
        };
      },
    },
    Bidi: {
      requests: 'many',
      open: (call): RequestListener => ({
        ...hears('Bidi'),
        message: (message) => void call.send(Buffer.from(message)),
        ended: () => call.finish(okStatus),
      }),
    },
  };
  return new Map(Object.entries(methods).map(([name, method]) => [`/test.Echo/${name}`, method]));
}

/** A server on a free port of loopback; disposing closes it. */
export async function startTestServer(options: {
  readonly methods: ReadonlyMap<string, Method>;
  readonly limits?: Partial<WireLimits>;
  readonly messageBytesMax?: number;
  readonly tls?: TlsOptions;
}): Promise<AsyncDisposable & { readonly port: number; readonly server: WireServer }> {
  const clock = new WheelClock(systemClock);
  const limits = { ...wireLimits, ...options.limits };
  const messageBytesMax = options.messageBytesMax ?? 64 * 1024 * 1024;
  const server = new WireServer({
    acceptor: new GrpcAcceptor({
      methods: options.methods,
      passOn: undefined,
      clock,
      messageBytesMax,
      backlogBytes: limits.streamBacklogBytes,
    }),
    clock,
    schedule: (run) => void setImmediate(run),
    limits,
    repeated: repeatedByServer,
  });
  const port = await server.listen({ host: '127.0.0.1', port: 0 }, { tls: options.tls });
  return {
    port,
    server,
    [Symbol.asyncDispose]: async () => {
      server.close();
      await server.drain();
      clock[Symbol.dispose]();
    },
  };
}
