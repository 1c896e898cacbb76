import { lstatSync, rmSync } from 'node:fs';
import { chmod, chown, lstat } from 'node:fs/promises';
import type { ServerHttp2Session } from 'node:http2';
import { createConnection, type Server as NetServer } from 'node:net';
import { dirname } from 'node:path';
import { logVerbosity, Server, setLogVerbosity, type ServerOptions } from '@grpc/grpc-js';
import type { ListenOptions } from './listening.ts';
import { serverCredentials } from './server-credentials.ts';
import { StreamShares, type StreamSharesOptions } from './stream-shares.ts';
import { afterTurns } from './until-draining.ts';

/** How a server stops, step by step. */
export type Stopping = {
  /** Fires first: it says that it is not ready, and serves as before. */
  readonly leaving: AbortSignal;
  /** Fires when it takes no more connections and calls: endless streams end themselves. */
  readonly draining: AbortSignal;
};

/**
 * A gRPC server that listens where it is told, and stops in order. A socket's file goes when it is closed (libuv unlinks it), and not
 * once more when the calls have ended: by then it may be that of the next process.
 */
export type GrpcServer = AsyncDisposable &
  Stopping & {
    readonly server: Server;
    /**
     * `127.0.0.1:7400` (port 0: any free one), or `unix:/path`: mode 0600, with a group 0660. Resolves to the address with its real
     * port.
     */
    listen(address: string, how?: ListenOptions): Promise<string>;
  };

/** Bytes: a batch of 10,000 writes of about 1 KB fits. */
export const messageBytesMax = 16 * 1024 * 1024;

const serverOptions: ServerOptions = {
  'grpc.max_receive_message_length': messageBytesMax,
  'grpc.max_send_message_length': -1,
  // Counters of every call and stream, which nobody reads here.
  'grpc.enable_channelz': 0,
  // Dead peers are found within half a minute, so that their watches do not stay.
  'grpc.keepalive_time_ms': 20_000,
  'grpc.keepalive_timeout_ms': 10_000,
};

// grpc-js writes to stderr what its callers are told as errors anyway.
setLogVerbosity(logVerbosity.NONE);

export type GrpcServerOptions = {
  /** How long it serves on, and says that it is not ready, before it shuts down, ms: until load balancers have noticed. Default 0. */
  readonly drainDelayMs?: number;
  /** How long calls under way may take once the server shuts down. */
  readonly drainMs: number;
  /** What it takes at a time; undefined: all that comes. */
  readonly bounds?: GrpcServerBounds | undefined;
  /** Its connections carry the calls of many callers, each of whom is bounded before: none of them may end one for all. */
  readonly isShared?: boolean;
};

export type GrpcServerBounds = {
  /** At each address; more are closed as soon as they are there. */
  readonly connectionsMax: number;
  readonly streams: StreamSharesOptions;
};

export function createGrpcServer({
  drainDelayMs = 0,
  drainMs,
  bounds,
  isShared = false,
}: GrpcServerOptions): GrpcServer {
  const server = new Server({
    ...serverOptions,
    ...(bounds && { 'grpc.max_concurrent_streams': bounds.streams.perConnectionMin }),
  });
  if (bounds !== undefined) setOfHttp2(server, { maxSessionRejectedStreams: uncounted });
  if (isShared) setOfHttp2(server, sharedSettings);
  const shares = bounds && new StreamShares(bounds.streams);
  const listening = (http2Server: NetServer): void => {
    if (bounds === undefined) return;
    http2Server.maxConnections = bounds.connectionsMax;
    http2Server.on('session', (session: ServerHttp2Session) => shares?.add(session));
  };
  const leaving = new AbortController();
  const draining = new AbortController();
  return {
    server,
    leaving: leaving.signal,
    draining: draining.signal,
    listen: async (address, how = {}) => {
      if (!address.startsWith('unix:')) {
        const port = await bind(server, address, { how, listening });
        return `${address.slice(0, address.lastIndexOf(':'))}:${port}`;
      }
      const path = address.slice('unix:'.length);
      await removeStaleSocket(path);
      await bindPrivately(server, address, { how, listening });
      if (how.groupId !== undefined) await openToGroup(path, how.groupId);
      return address;
    },
    [Symbol.asyncDispose]: async () => {
      leaving.abort();
      await untilNoticed(drainDelayMs);
      draining.abort();
      await new Promise<void>((resolve) => {
        const timer = setTimeout(() => {
          server.forceShutdown();
          resolve();
        }, drainMs);
        server.tryShutdown(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    },
  };
}

/** In which those who watch the health are told: over a connection inside of the process first, then over their own. */
const noticeTurns = 4;

/** What is said about readiness is on its way before anything else is said, and pollers have had their time. */
export async function untilNoticed(drainDelayMs: number): Promise<void> {
  if (drainDelayMs > 0) await new Promise((resolve) => setTimeout(resolve, drainDelayMs));
  await new Promise<void>((resolve) => afterTurns(noticeTurns, resolve));
}

/** An address that cannot be listened on: its message is one line that says what to do. */
export class ListenError extends Error {}

/** The most that node:http2 takes for a number of frames. */
const uncounted = 2 ** 31 - 1;

/**
 * What node:http2 ends a connection for: 1,000 streams that were reset (and 33 more each second), or 1,000 frames in its whole life
 * that are empty or break a rule.
 */
const sharedSettings = { maxSessionInvalidFrames: uncounted, streamResetBurst: uncounted, streamResetRate: uncounted };

/**
 * node:http2 counts a stream for a moment longer than its client does: one that opens as many as it may, again and again, is now and
 * then reset (ENHANCE_YOUR_CALM), and after 100 of those its connection would be ended (`maxSessionRejectedStreams`). grpc-js has no
 * option for such numbers.
 */
function setOfHttp2(server: Server, settings: Readonly<Record<string, number>>): void {
  type Carrier = { readonly commonServerOptions: Record<string, number> };
  Object.assign((server as unknown as Carrier).commonServerOptions, settings);
}

type Binding = { readonly how: ListenOptions; readonly listening: (http2Server: NetServer) => void };

function bind(server: Server, address: string, { how, listening }: Binding): Promise<number> {
  const before = new Set(http2ServersOf(server));
  return new Promise((resolve, reject) => {
    server.bindAsync(address, serverCredentials(how), (error, port) => {
      if (error === null) {
        for (const each of http2ServersOf(server)) if (!before.has(each)) listening(each);
        resolve(port);
      } else reject(new ListenError(`cannot listen on ${address}: ${listenProblem(error.message)}`, { cause: error }));
    });
  });
}

/** Where grpc-js keeps what listens; it has no bounds of its own for them. The version is pinned; a test fails when this place moves. */
function http2ServersOf(server: Server): Iterable<NetServer> {
  return (server as unknown as { readonly http2Servers: ReadonlyMap<NetServer, unknown> }).http2Servers.keys();
}

/** Nobody else gets in for a moment: the socket comes into being with mode 0600. (chmod after binding leaves one.) */
async function bindPrivately(server: Server, address: string, binding: Binding): Promise<void> {
  const before = process.umask(0o177);
  try {
    await bind(server, address, binding);
  } finally {
    process.umask(before);
  }
}

export async function openToGroup(path: string, groupId: number): Promise<void> {
  try {
    const { uid } = await lstat(path);
    await chown(path, uid, groupId);
    await chmod(path, 0o660);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ListenError(`cannot give unix:${path} to group ${groupId}: ${why}`, { cause: error });
  }
}

export function listenProblem(message: string): string {
  if (message.includes('EADDRINUSE')) return 'it is in use; stop what listens there or choose another address';
  if (message.includes('EACCES')) return 'permission denied';
  if (message.includes('EADDRNOTAVAIL')) return 'this machine has no such address';
  return message;
}

/** A socket file that a killed process left is removed; one that somebody answers on is not, and no other kind of file. */
export async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) {
    // Binding would call it a matter of permissions.
    const directory = await lstat(dirname(path)).catch(() => undefined);
    if (directory === undefined) throw new ListenError(`cannot listen on unix:${path}: its directory does not exist`);
    return;
  }
  if (!found.isSocket())
    throw new ListenError(`cannot listen on unix:${path}: there is a file that is no socket; choose another path`);
  const refusal = await new Promise<string>((resolve) => {
    const probe = createConnection(path);
    probe.on('connect', () => {
      probe.destroy();
      resolve('');
    });
    probe.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
  });
  if (refusal === 'ENOENT') return;
  // Only this says that nobody listens: who is too busy to take one more connection (EAGAIN) does, and so may one of another user (EACCES).
  if (refusal !== 'ECONNREFUSED')
    throw new ListenError(
      `cannot listen on unix:${path}: it is in use; stop what listens there or choose another path`,
    );
  // In one turn: another process that found the same may have put its own in the place meanwhile, some file systems with the same inode.
  const now = lstatSync(path, { throwIfNoEntry: false });
  if (now?.ino === found.ino && now.ctimeMs === found.ctimeMs) rmSync(path, { force: true });
}
