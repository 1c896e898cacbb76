import { randomBytes } from 'node:crypto';
import { access, constants, readFile, realpath, rm } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { limits } from './limits.ts';
import { findFreePort, probeAddress } from './listen-address.ts';
import { readLastLines } from './log-file.ts';
import { describeProcess, hasArgument } from './process-identity.ts';
import { ensurePrivateDirectory, errorCode, writePrivateFile } from './private-directory.ts';
import { programEnvironment } from './run-program.ts';
import {
  describeExit,
  spawnServer,
  stopBySteps,
  wrapLeftover,
  type ServerExit,
  type ServerProcess,
  type StopStep,
} from './server-process.ts';
import { StartError } from './start-error.ts';

/** How to run it. */
export interface NatsOptions {
  /** The program: `findNatsServer`. */
  readonly binary: string;
  /** Keeps its streams over restarts. Used by one launcher at a time: lock it (state-directory.ts) or own it. */
  readonly directory: string;
  /** Default `<directory>/nats.log`; emptied at each start. */
  readonly logFile?: string;
  /** On 127.0.0.1. Default: a free one. */
  readonly port?: number;
  /** Abandons the start, leaving no process. */
  readonly signal?: AbortSignal;
  /** Ends it at once when aborted, started or not. */
  readonly hardStop?: AbortSignal;
  /** Told what is out of the ordinary, one line each. */
  readonly onProgress?: (line: string) => void;
}

/** A running NATS server with JetStream; disposing stops it. */
export interface NatsServer extends AsyncDisposable {
  /** `nats://127.0.0.1:14222`. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Such as `2.9.10`. */
  readonly version: string;
  readonly logFile: string;
  /** Fulfilled when it ends, for whatever reason. */
  readonly exited: Promise<ServerExit>;
  /** Waits for its end; harder when that takes too long. */
  stop(): Promise<void>;
}

const stopSteps: readonly StopStep[] = [
  { signal: 'SIGTERM', boundMs: limits.natsStopMs },
  { signal: 'SIGKILL', boundMs: limits.killedMs },
];

/**
 * Finds `nats-server` on a PATH; undefined when it is not there. Debian puts it into /usr/sbin, which is not on a plain
 * user's PATH, so the system's own directories count too.
 */
export async function findNatsServer(path: string | undefined): Promise<string | undefined> {
  const directories = [...(path ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin', '/usr/local/bin'];
  for (const directory of directories) {
    if (directory === '') continue;
    const file = join(directory, 'nats-server');
    const found = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return file;
  }
  return undefined;
}

/** Starts NATS with JetStream on loopback; stops the server that a killed run left on the same store first. */
export async function startNats(options: NatsOptions): Promise<NatsServer> {
  await ensurePrivateDirectory(options.directory, { mode: 0o700 });
  // Without symbolic links, so that a leftover is known by its arguments whichever way it was started.
  const files = locateFiles(await realpath(options.directory));
  const leftover = await stopLeftoverNats(options.directory);
  if (leftover !== undefined) options.onProgress?.(`stopped the NATS server of a killed run (pid ${leftover})`);
  for (let attempt = 1; ; attempt += 1) {
    const port = options.port ?? (await findFreePort());
    const outcome = await launch(options, { ...files, port });
    if (outcome.kind === 'ready') return outcome.server;
    if ((await probeAddress({ host: '127.0.0.1', port })).kind === 'taken') {
      if (options.port !== undefined) {
        throw new StartError(`127.0.0.1:${port} is in use; stop what listens there or choose another port for NATS`);
      }
      if (attempt < limits.portAttempts) continue;
    }
    const lines = await readLastLines(outcome.logFile);
    const reason = lines.findLast((line) => /\[(?:FTL|ERR)\]/.test(line)) ?? lines.at(-1) ?? describeExit(outcome.exit);
    throw new StartError(
      `${options.binary} did not start: ${reason.trim()} (log: ${outcome.logFile}); or set NATS_URL to another one`,
    );
  }
}

interface Files {
  readonly config: string;
  readonly pid: string;
  readonly store: string;
}

type Outcome =
  | { readonly kind: 'ready'; readonly server: NatsServer }
  | { readonly kind: 'ended'; readonly exit: ServerExit; readonly logFile: string };

async function launch(options: NatsOptions, files: Files & { port: number }): Promise<Outcome> {
  const name = `embedded-${randomBytes(6).toString('hex')}`;
  await writePrivateFile(files.config, formatConfig(files, name));
  const logFile = options.logFile ?? join(options.directory, 'nats.log');
  const server = await spawnServer({
    file: options.binary,
    arguments: ['-c', files.config],
    environment: programEnvironment(),
    logFile,
    hardStop: options.hardStop,
  }).catch((error: unknown) => {
    throw new StartError(`cannot run ${options.binary} (${errorCode(error)}): set NATS_URL, or take it off the PATH`, {
      cause: error,
    });
  });
  const stop = async (): Promise<void> => await stopServer(server, files.pid);
  const end = performance.now() + limits.natsStartMs;
  for (;;) {
    const exit = server.exit();
    if (exit !== undefined) return { kind: 'ended', exit, logFile };
    const info = await readServerInfo(files.port);
    // The name tells that it is ours that answers, and not another one that took the port.
    if (info?.name === name && info.jetstream) {
      const url = `nats://127.0.0.1:${files.port}`;
      const { pid, exited } = server;
      const { version } = info;
      const running = { url, port: files.port, pid, version, logFile, exited, stop, [Symbol.asyncDispose]: stop };
      return { kind: 'ready', server: running };
    }
    if (options.signal?.aborted === true || performance.now() > end) {
      await stop();
      options.signal?.throwIfAborted();
      throw new StartError(`${options.binary} was not ready after ${limits.natsStartMs / 1000} s (log: ${logFile})`);
    }
    await delay(limits.pollIntervalMs);
  }
}

/** JSON strings are NATS configuration strings too (both escape `"` and `\`). */
function formatConfig(files: Files & { port: number }, name: string): string {
  return [
    '# Written by deploy/embedded/nats-server.ts at each start.',
    `listen: "127.0.0.1:${files.port}"`,
    `server_name: "${name}"`,
    `pid_file: ${JSON.stringify(files.pid)}`,
    `jetstream { store_dir: ${JSON.stringify(files.store)}, max_mem: 256MB, max_file: 4GB }`,
    '',
  ].join('\n');
}

interface ServerInfo {
  readonly name: string;
  readonly version: string;
  readonly jetstream: boolean;
}

/** The line that a NATS server greets every connection with; undefined when there is none. */
async function readServerInfo(port: number): Promise<ServerInfo | undefined> {
  const line = await new Promise<string | undefined>((resolve) => {
    const socket = createConnection({ host: '127.0.0.1', port });
    let text = '';
    const finish = (value: string | undefined): void => {
      socket.destroy();
      resolve(value);
    };
    socket.setTimeout(limits.natsGreetingMs, () => {
      finish(undefined);
    });
    socket.once('error', () => {
      finish(undefined);
    });
    socket.once('close', () => {
      finish(undefined);
    });
    socket.on('data', (chunk) => {
      text += chunk.toString('utf8');
      if (text.includes('\r\n')) finish(text.slice(0, text.indexOf('\r\n')));
    });
  });
  const json = line?.startsWith('INFO ') === true ? parseObject(line.slice('INFO '.length)) : undefined;
  if (json === undefined) return undefined;
  return { name: String(json['server_name']), version: String(json['version']), jetstream: json['jetstream'] === true };
}

function parseObject(text: string): Record<string, unknown> | undefined {
  const value: unknown = JSON.parse(text);
  return typeof value === 'object' && value !== null ? { ...value } : undefined;
}

/** Stops the server that a killed run left on this directory; answers its pid. */
export async function stopLeftoverNats(directory: string): Promise<number | undefined> {
  const files = locateFiles(await realpath(directory));
  const pid = Number(await readFile(files.pid, 'utf8').catch(() => ''));
  const found = await describeProcess(pid);
  // Of that pid there may be another process by now; only ours has our configuration among its arguments.
  const ours = found?.program === 'nats-server' && hasArgument(found, files.config) ? found : undefined;
  if (ours === undefined) return undefined;
  if (!(await stopBySteps(wrapLeftover(ours), stopSteps))) {
    throw new StartError(`a NATS server of an earlier run (pid ${pid}) cannot be stopped: stop it (kill ${pid})`);
  }
  return pid;
}

function locateFiles(directory: string): Files {
  return { config: join(directory, 'nats.conf'), pid: join(directory, 'nats.pid'), store: join(directory, 'store') };
}

async function stopServer(server: ServerProcess, pidFile: string): Promise<void> {
  if (server.exit() === undefined && !(await stopBySteps(server, stopSteps))) {
    throw new Error(`NATS (pid ${server.pid}) did not stop`);
  }
  await rm(pidFile, { force: true });
}
