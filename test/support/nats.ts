import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { findNatsServer, startNats, type NatsServer } from '../../deploy/embedded/nats-server.ts';
import { makeScratchDirectory } from './scratch-directory.ts';

const run = promisify(execFile);

/** A `nats-server` program to run. */
export interface ProvidedNats {
  /** Its path. */
  readonly binary: string;
  /** Starts one with JetStream, on loopback, with a directory of its own: about 50 ms. */
  start(): Promise<TestNats>;
}

/** The streams of a server as they once were. */
export interface StoreCopy {
  readonly path: string;
}

/** A NATS server of a test's own, to be broken: its address and its streams stay the same whatever is done to it. */
export interface TestNats extends AsyncDisposable {
  /** `nats://127.0.0.1:14222`; the same after each start. */
  readonly url: string;
  readonly port: number;
  /** Of the one that runs now, or ran last. */
  readonly pid: number;
  /** SIGTERM; waits for its end. */
  stop(): Promise<void>;
  /** SIGKILL; waits for its end. */
  crash(): Promise<void>;
  /** Starts it after `stop` or `crash`; ready when this is fulfilled. */
  start(): Promise<void>;
  /** Removes every stream; only while it is stopped. */
  wipe(): Promise<void>;
  /** Copies every stream as it is; only while it is stopped. */
  copyStore(): Promise<StoreCopy>;
  /** Puts a copy in the place of every stream; only while it is stopped. */
  restoreStore(copy: StoreCopy): Promise<void>;
  /** SIGSTOP: connections stay open and nobody answers. */
  freeze(): void;
  /** SIGCONT. */
  thaw(): void;
}

/**
 * Finds `nats-server` on the PATH, else in Debian's package, which is downloaded and unpacked beside the npm packages once,
 * without root and without installing it (no npm package carries it).
 */
export async function provideNatsServer(): Promise<ProvidedNats> {
  const binary = (await findNatsServer(process.env['PATH'])) ?? (await unpackDebianPackage());
  return { binary, start: async () => await startTestNats(binary) };
}

async function startTestNats(binary: string): Promise<TestNats> {
  await using stack = new AsyncDisposableStack();
  const scratch = stack.use(await makeScratchDirectory());
  const launch = { binary, directory: join(scratch.path, 'nats') };
  let server: NatsServer = await startNats(launch);
  const { url, port } = server;
  const store = join(launch.directory, 'store');
  stack.defer(async () => await server.stop());
  const owned = stack.move();
  return {
    url,
    port,
    get pid() {
      return server.pid;
    },
    stop: async () => await server.stop(),
    crash: async () => {
      process.kill(server.pid, 'SIGKILL');
      await server.exited;
    },
    start: async () => {
      server = await startNats({ ...launch, port });
    },
    wipe: async () => await rm(store, { recursive: true, force: true }),
    copyStore: async () => {
      const path = await mkdtemp(join(scratch.path, 'copy-'));
      await cp(store, path, { recursive: true });
      return { path };
    },
    restoreStore: async ({ path }) => {
      await rm(store, { recursive: true, force: true });
      await cp(path, store, { recursive: true });
    },
    freeze: () => {
      process.kill(server.pid, 'SIGSTOP');
    },
    thaw: () => {
      process.kill(server.pid, 'SIGCONT');
    },
    [Symbol.asyncDispose]: async () => await owned.disposeAsync(),
  };
}

async function unpackDebianPackage(): Promise<string> {
  const cache = fileURLToPath(new URL('../../node_modules/.cache/traffic-manager', import.meta.url));
  const unpacked = join(cache, 'nats-server');
  const known = await findNatsServer(join(unpacked, 'usr', 'sbin'));
  if (known !== undefined) return known;
  try {
    await mkdir(cache, { recursive: true });
    const work = await mkdtemp(join(cache, 'download-'));
    try {
      await downloadPackage(work);
      const file = (await readdir(work)).find((name) => name.endsWith('.deb'));
      if (file === undefined) throw new Error('apt-get download wrote no package');
      const target = join(work, 'unpacked');
      await run('dpkg', ['-x', join(work, file), target]);
      // Another run may have been first; then its copy stands.
      await rename(target, unpacked).catch(() => undefined);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  } catch (error) {
    throw new Error(
      'tests need nats-server: put it on the PATH (apt-get install nats-server, or https://nats.io/download)',
      {
        cause: error,
      },
    );
  }
  const binary = await findNatsServer(join(unpacked, 'usr', 'sbin'));
  if (binary === undefined) throw new Error(`${unpacked} holds no nats-server: remove it and try again`);
  return binary;
}

async function downloadPackage(directory: string): Promise<void> {
  const download = async (): Promise<unknown> => await run('apt-get', ['download', 'nats-server'], { cwd: directory });
  try {
    await download();
  } catch (error) {
    // The package lists of a fresh container are empty, and only root can fetch them.
    if (process.getuid?.() !== 0) throw error;
    await run('apt-get', ['update']);
    await download();
  }
}
