import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { limits } from './limits.ts';
import { findFreePort, probeAddress } from './listen-address.ts';
import { readLastLines } from './log-file.ts';
import { findPostgresBinaries, type PostgresBinaries } from './postgres-binaries.ts';
import { postgresUser, preparePostgresData, readDataMajor, type PostgresData } from './postgres-data.ts';
import { postgresStopSteps, readPostmasterFile, stopLeftoverPostgres, type Leftover } from './postmaster-file.ts';
import { ensurePrivateDirectory, requireFreeSpace } from './private-directory.ts';
import { programEnvironment } from './run-program.ts';
import { findServerUser, type RunAs } from './run-as.ts';
import { describeExit, spawnServer, stopBySteps, type ServerExit, type ServerProcess } from './server-process.ts';
import { StartError } from './start-error.ts';

/** How to run it. */
export interface PostgresOptions {
  /** Keeps data and password over restarts. Used by one launcher at a time: lock it (state-directory.ts) or own it. */
  readonly directory: string;
  /** Default `<directory>/postgres.log`; emptied at each start. */
  readonly logFile?: string;
  /** On 127.0.0.1. Default: a free one. */
  readonly port?: number;
  /**
   * False: a crash of the machine may lose everything, for tests only; 2x the commits/s (13,000 against 6,500 at 8
   * connections). A killed server still loses nothing: `synchronous_commit` stays on, as without fsync turning it off gains
   * nothing (13,100). Default true.
   */
  readonly durable?: boolean;
  /** Further settings, such as `{ max_connections: '200' }`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Takes the copy of the binaries if one is needed. Default `directory`. */
  readonly binariesDirectory?: string;
  /** Abandons the start, leaving no process. */
  readonly signal?: AbortSignal;
  /** Ends it at once when aborted, started or not. */
  readonly hardStop?: AbortSignal;
  /** Told what takes long or is out of the ordinary, one line each. */
  readonly onProgress?: (line: string) => void;
}

/** A running Postgres; disposing stops it. */
export interface PostgresServer extends AsyncDisposable {
  /** With the password: `postgresql://postgres:…@127.0.0.1:45123/postgres`. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Such as `18.4`. */
  readonly version: string;
  readonly logFile: string;
  /** Fulfilled when it ends, for whatever reason. */
  readonly exited: Promise<ServerExit>;
  /** Disconnects clients, writes everything down and waits for its end; harder when that takes too long. */
  stop(): Promise<void>;
}

/**
 * Starts Postgres on loopback, as a user other than root, with a random password; stops the server that a killed run left
 * on the same data first. Throws StartError with what to do.
 */
export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  const { directory, signal } = options;
  const runAs = await findServerUser();
  await ensurePrivateDirectory(directory, { mode: runAs === undefined ? 0o700 : 0o711 });
  const binaries = await findPostgresBinaries({
    runAs,
    copyDirectory: options.binariesDirectory ?? directory,
    preferredMajor: await readDataMajor(directory),
    signal,
  });
  const leftover = await stopLeftoverPostgres(join(directory, 'data'));
  if (leftover.kind === 'stopped') options.onProgress?.(`stopped the Postgres of a killed run (pid ${leftover.pid})`);
  signal?.throwIfAborted();
  const data = await preparePostgresData({ directory, binaries, runAs, durable: options.durable ?? true, signal });
  if (data.fresh) options.onProgress?.(`made a new database in ${data.directory}`);
  const { server, port } = await launch({ ...options, runAs, binaries, data, leftover });
  return {
    url: `postgresql://${postgresUser}:${data.password}@127.0.0.1:${port}/postgres`,
    port,
    pid: server.process.pid,
    version: binaries.version,
    logFile: server.logFile,
    exited: server.process.exited,
    stop: async () => await stopServer(server),
    [Symbol.asyncDispose]: async () => await stopServer(server),
  };
}

interface LaunchOptions extends PostgresOptions {
  readonly runAs: RunAs | undefined;
  readonly binaries: PostgresBinaries;
  readonly data: PostgresData;
  readonly leftover: Leftover;
}

interface RunningServer {
  readonly process: ServerProcess;
  readonly logFile: string;
}

/** Starts it until it runs, or until it is clear that it will not. */
async function launch(options: LaunchOptions): Promise<{ server: RunningServer; port: number }> {
  const orphansEnd = performance.now() + limits.postgresOrphansMs;
  let portAttempt = 1;
  for (;;) {
    options.signal?.throwIfAborted();
    const port = options.port ?? (await findFreePort());
    const server = await spawnPostgres(options, port);
    const outcome = await waitUntilReady(server, options);
    if (outcome.kind === 'ready') return { server, port };
    const address = { host: '127.0.0.1', port };
    if ((await probeAddress(address)).kind === 'taken') {
      if (options.port !== undefined) {
        throw new StartError(
          `127.0.0.1:${port} is in use; stop what listens there or choose another port for Postgres`,
        );
      }
      if (portAttempt < limits.portAttempts) {
        portAttempt += 1;
        continue;
      }
    }
    // Processes of a server that was killed may hold its memory for another moment.
    if (options.leftover.kind === 'crashed' && performance.now() < orphansEnd) {
      await delay(limits.postgresOrphansRetryMs);
      continue;
    }
    await requireFreeSpace(options.directory, limits.existingDataBytes);
    const lines = await readLastLines(server.logFile);
    const reason =
      lines.findLast((line) => /\b(?:FATAL|PANIC|error):/.test(line)) ?? lines.at(-1) ?? describeExit(outcome.exit);
    throw new StartError(
      `Postgres ${options.binaries.version} did not start: ${reason.trim()} (log: ${server.logFile})`,
    );
  }
}

async function spawnPostgres(options: LaunchOptions, port: number): Promise<RunningServer> {
  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    // Loopback is enough; a socket would need a directory that both users may use.
    unix_socket_directories: '',
    ...(options.durable === false ? { fsync: 'off', full_page_writes: 'off' } : {}),
    ...options.settings,
  };
  const logFile = options.logFile ?? join(options.directory, 'postgres.log');
  const server = await spawnServer({
    file: join(options.binaries.directory, 'postgres'),
    arguments: [
      '-D',
      options.data.directory,
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
    environment: programEnvironment(),
    logFile,
    runAs: options.runAs,
    hardStop: options.hardStop,
    // SIGKILL would leave its backends behind; the next start recovers from this one as well.
    hardStopWith: 'SIGQUIT',
  });
  return { process: server, logFile };
}

type Outcome = { readonly kind: 'ready' } | { readonly kind: 'ended'; readonly exit: ServerExit };

/** Ready is what Postgres says of itself in `postmaster.pid`; its log says it too, but in words. */
async function waitUntilReady(server: RunningServer, options: LaunchOptions): Promise<Outcome> {
  const end = performance.now() + limits.postgresStartMs;
  for (;;) {
    const exit = server.process.exit();
    if (exit !== undefined) return { kind: 'ended', exit };
    const file = await readPostmasterFile(options.data.directory);
    if (file?.pid === server.process.pid && file.ready) return { kind: 'ready' };
    if (options.signal?.aborted === true || performance.now() > end) {
      await stopServer(server);
      options.signal?.throwIfAborted();
      throw new StartError(`Postgres was not ready after ${limits.postgresStartMs / 1000} s (log: ${server.logFile})`);
    }
    await delay(limits.pollIntervalMs);
  }
}

async function stopServer(server: RunningServer): Promise<void> {
  if (server.process.exit() !== undefined) return;
  if (!(await stopBySteps(server.process, postgresStopSteps))) {
    throw new Error(`Postgres (pid ${server.process.pid}) did not stop`);
  }
}
