import { createConnection } from 'node:net';
import type { Clock } from '../../src/platform/clock.ts';
import type { ListenOptions } from '../../src/platform/grpc/listening.ts';
import {
  createGrpcServer,
  ListenError,
  listenProblem,
  openToGroup,
  messageBytesMax,
  removeStaleSocket,
  untilNoticed,
} from '../../src/platform/grpc/server.ts';
import { newId } from '../../src/platform/random.ts';
import type { Schedule } from '../../src/platform/turns.ts';
import { sidecarLimits } from '../limits.ts';
import { repeatedByServer } from '../wire/grpc/fields.ts';
import { GrpcAcceptor, type GrpcAcceptorOptions } from '../wire/grpc/grpc-acceptor.ts';
import type { Method } from '../wire/grpc/server-call.ts';
import { wireLimits } from '../wire/limits.ts';
import { HeaderField } from '../wire/hpack/header-field.ts';
import { passThrough } from '../wire/pass-through.ts';
import { WireClient } from '../wire/wire-client.ts';
import { WireServer, type WireListening } from '../wire/wire-server.ts';
import type { Front, FrontOptions } from './front.ts';
import { insideGuard, insideHeader } from './inside-guard.ts';
import { WheelClock } from './wheel-clock.ts';
import { wireGuard } from './wire-guard.ts';
import { bindWireService } from './wire-service.ts';

export type WireFrontOptions = FrontOptions & {
  readonly clock: Clock;
  readonly schedule: Schedule;
  /** Told that so many connections were refused, for there are as many as may be; not of each. */
  readonly onRefused?: (count: number) => void;
};

const loopback = '127.0.0.1';
const noRepeated = new Set<never>();

/** The front over our own engine. What it does not serve itself it passes on to a grpc-js server of this process, over loopback. */
export function createWireFront(options: WireFrontOptions): Front {
  const { drainDelayMs = 0, drainMs, clock: time, schedule, onRefused } = options;
  const clock = new WheelClock(time);
  const leaving = new AbortController();
  const draining = new AbortController();
  const methods = new Map<string, Method>();
  const library = createGrpcServer({ drainMs: 0, isShared: true });
  // A real socket: a pair of streams in the process delivers while it is written to, which Node's http2 answers with an abort.
  let insidePort = 0;
  // Others of this machine reach that port too, past the guard and the TLS of ours.
  const secret = newId() + newId();
  const added = new HeaderField(insideHeader, secret, { isNeverIndexed: true });
  const listenInside = once(async () => {
    insidePort = Number((await library.listen(`${loopback}:0`, { guard: insideGuard(secret) })).split(':').at(-1));
  });
  const inside = new WireClient({
    clock,
    schedule,
    limits: { ...wireLimits, idleMsMax: Number.MAX_SAFE_INTEGER },
    repeated: noRepeated,
    connect: () => createConnection({ host: loopback, port: insidePort, noDelay: true }),
  });
  const { streamBacklogBytes: backlogBytes } = wireLimits;
  const calls: GrpcAcceptorOptions = {
    methods,
    clock,
    messageBytesMax,
    backlogBytes,
    passOn: (stream, list, isLast) => {
      const connection = stream.hold(sidecarLimits.passedOnBytes) ? inside.connection() : undefined;
      passThrough(stream, list, isLast, { connection, backlogBytes, added });
    },
  };
  const acceptor = new GrpcAcceptor(calls);
  const limits = wireLimits;
  const server = new WireServer({ acceptor, clock, schedule, limits, repeated: repeatedByServer, onRefused });
  return {
    library: library.server,
    leaving: leaving.signal,
    draining: draining.signal,
    serve: (service, handlers, options) => {
      const bound = bindWireService(service, handlers, {
        ...options,
        draining: draining.signal,
        clock,
      });
      for (const [path, method] of bound) methods.set(path, method);
    },
    listen: async (address, how = {}) => {
      await listenInside();
      const listening = await listen(server, address, wireListening(how, calls));
      if (how.groupId !== undefined && address.startsWith('unix:'))
        await openToGroup(address.slice('unix:'.length), how.groupId);
      return listening;
    },
    [Symbol.asyncDispose]: async () => {
      leaving.abort();
      await untilNoticed(drainDelayMs);
      draining.abort();
      const inTime = new AbortController();
      const drained = server.drain().then(() => inTime.abort());
      await Promise.race([drained, time.sleep(drainMs, inTime.signal)]);
      server.close();
      await drained;
      inside[Symbol.dispose]();
      await library[Symbol.asyncDispose]();
      clock[Symbol.dispose]();
    },
  };
}

/** What was begun before is waited for, not begun again. */
function once(begin: () => Promise<void>): () => Promise<void> {
  let begun: Promise<void> | undefined;
  return () => (begun ??= begin());
}

/** A guarded address has an acceptor of its own, so that the others ask nothing. */
function wireListening({ tls, guard }: ListenOptions, calls: GrpcAcceptorOptions): WireListening {
  const acceptor = guard && new GrpcAcceptor({ ...calls, guard: wireGuard(guard) });
  if (tls === undefined) return { acceptor };
  const { certificate: cert, key, clientAuthorities: ca } = tls;
  return { acceptor, tls: { cert, key, ca, requestCert: ca !== undefined, rejectUnauthorized: true } };
}

/** A socket's file goes when it is closed (libuv unlinks it), and not once more later: by then it may be that of the next process. */
async function listen(server: WireServer, address: string, how: WireListening): Promise<string> {
  if (address.startsWith('unix:')) {
    const path = address.slice('unix:'.length);
    await removeStaleSocket(path);
    await bindPrivately(address, () => server.listen({ path }, how));
    return address;
  }
  const at = address.lastIndexOf(':');
  // The brackets of an IPv6 address are those of its text.
  const host = address.slice(0, at).replace(/^\[|\]$/g, '');
  const port = await bind(address, server.listen({ host, port: Number(address.slice(at + 1)) }, how));
  return `${address.slice(0, at)}:${port}`;
}

/** Nobody else gets in for a moment: the socket comes into being with mode 0600, in the turn in which it is asked for. */
function bindPrivately(address: string, listen: () => Promise<number>): Promise<number> {
  const before = process.umask(0o177);
  try {
    return bind(address, listen());
  } finally {
    process.umask(before);
  }
}

function bind(address: string, listening: Promise<number>): Promise<number> {
  return listening.catch((error: unknown) => {
    const message = error instanceof Error ? error.message : String(error);
    throw new ListenError(`cannot listen on ${address}: ${listenProblem(message)}`, { cause: error });
  });
}
