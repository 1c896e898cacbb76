import { chmod, chown, lstat, rm } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { dirname } from 'node:path';
import { logVerbosity, Server, setLogVerbosity, type ServerOptions } from '@grpc/grpc-js';
import type { ListenOptions } from './listening.ts';
import { serverCredentials } from './server-credentials.ts';

/** A gRPC server that listens where it is told, and stops in order. */
export type GrpcServer = AsyncDisposable & {
  readonly server: Server;
  /** Fires when the server begins to shut down. */
  readonly draining: AbortSignal;
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

/** `drainMs`: how long calls under way may take once the server shuts down. */
export function createGrpcServer({ drainMs }: { drainMs: number }): GrpcServer {
  const server = new Server(serverOptions);
  const draining = new AbortController();
  const sockets: string[] = [];
  return {
    server,
    draining: draining.signal,
    listen: async (address, how = {}) => {
      if (!address.startsWith('unix:')) {
        const port = await bind(server, address, how);
        return `${address.slice(0, address.lastIndexOf(':'))}:${port}`;
      }
      const path = address.slice('unix:'.length);
      await removeStaleSocket(path);
      await bindPrivately(server, address, how);
      sockets.push(path);
      if (how.groupId !== undefined) await openToGroup(path, how.groupId);
      return address;
    },
    [Symbol.asyncDispose]: async () => {
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
      for (const path of sockets) await rm(path, { force: true });
    },
  };
}

/** An address that cannot be listened on: its message is one line that says what to do. */
export class ListenError extends Error {}

function bind(server: Server, address: string, how: ListenOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, serverCredentials(how), (error, port) => {
      if (error === null) resolve(port);
      else reject(new ListenError(`cannot listen on ${address}: ${listenProblem(error.message)}`, { cause: error }));
    });
  });
}

/** Nobody else gets in for a moment: the socket comes into being with mode 0600. (chmod after binding leaves one.) */
async function bindPrivately(server: Server, address: string, how: ListenOptions): Promise<void> {
  const before = process.umask(0o177);
  try {
    await bind(server, address, how);
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
  const answered = await new Promise<boolean>((resolve) => {
    const probe = createConnection(path);
    probe.on('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.on('error', () => resolve(false));
  });
  if (answered)
    throw new ListenError(
      `cannot listen on unix:${path}: it is in use; stop what listens there or choose another path`,
    );
  await rm(path, { force: true });
}
