import { join } from 'node:path';
import { limits } from './limits.ts';
import { readLastLines } from './log-file.ts';
import { describeExit, spawnServer, stopBySteps, type ServerExit, type StopStep } from './server-process.ts';
import { StartError } from './start-error.ts';

/** What to run as a child. */
export interface ChildOptions {
  /** For messages and the log's name: `control plane` logs to `control-plane.log`. */
  readonly name: string;
  /** Its program. */
  readonly entry: string;
  readonly workingDirectory: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Takes the log. */
  readonly logs: string;
  /** How long it may take to finish its calls when it is stopped. */
  readonly drainMs: number;
  /** Abandons the start, leaving no process. */
  readonly signal?: AbortSignal;
  /** Ends it at once when aborted, started or not. */
  readonly hardStop?: AbortSignal;
}

/** A running child; disposing stops it. */
export interface ChildService extends AsyncDisposable {
  readonly name: string;
  readonly pid: number;
  readonly logFile: string;
  /** Fulfilled when it ends, for whatever reason. */
  readonly exited: Promise<ServerExit>;
  /** Lets it finish what it is doing, within a bound. */
  stop(): Promise<void>;
}

/**
 * Starts one of our programs and waits until it serves.
 *
 * The contract with it: it sends `{ type: 'ready' }` over the channel when it serves, ends cleanly on SIGTERM, ends by itself
 * when the channel closes (we were killed), and when it cannot start prints `error: <why>` on stderr and ends with a code
 * other than 0.
 */
export async function startChild(options: ChildOptions): Promise<ChildService> {
  const logFile = join(options.logs, `${options.name.replaceAll(' ', '-')}.log`);
  const server = await spawnServer({
    file: process.execPath,
    arguments: [options.entry],
    workingDirectory: options.workingDirectory,
    environment: options.environment,
    logFile,
    ipc: true,
    hardStop: options.hardStop,
  });
  const stopSteps: readonly StopStep[] = [
    { signal: 'SIGTERM', boundMs: options.drainMs + limits.childCloseMs },
    { signal: 'SIGKILL', boundMs: limits.killedMs },
  ];
  const stop = async (): Promise<void> => {
    if (server.exit() === undefined && !(await stopBySteps(server, stopSteps))) {
      throw new Error(`${options.name} (pid ${server.pid}) did not stop`);
    }
  };
  const beginning = new AbortController();
  const ready = new Promise<'ready'>((resolve) => {
    server.child.on('message', (message) => {
      if (isReady(message)) resolve('ready');
    });
  });
  const abandoned = new Promise<'abandoned'>((resolve) => {
    const abandon = (): void => resolve('abandoned');
    options.signal?.addEventListener('abort', abandon, { signal: beginning.signal });
    if (options.signal?.aborted === true) abandon();
  });
  const late = new Promise<'late'>((resolve) => {
    const timer = setTimeout(() => resolve('late'), limits.childStartMs);
    beginning.signal.addEventListener('abort', () => clearTimeout(timer));
  });
  const outcome = await Promise.race([ready, server.exited, abandoned, late]);
  beginning.abort();
  if (outcome === 'ready') {
    const { pid, exited } = server;
    return { name: options.name, pid, logFile, exited, stop, [Symbol.asyncDispose]: stop };
  }
  if (outcome === 'abandoned' || outcome === 'late') {
    await stop();
    options.signal?.throwIfAborted();
    throw new StartError(`the ${options.name} was not ready after ${limits.childStartMs / 1000} s (log: ${logFile})`);
  }
  throw new StartError(await explainFailure(options.name, { exit: outcome, logFile }));
}

/** Its own `error: …` line, or if it died without one, how and what it said last. */
async function explainFailure(name: string, failure: { exit: ServerExit; logFile: string }): Promise<string> {
  const lines = await readLastLines(failure.logFile);
  const said = lines.findLast((line) => line.startsWith('error: '));
  if (said !== undefined) return `the ${name} did not start: ${said.slice('error: '.length)}`;
  const head = `the ${name} ended while starting (${describeExit(failure.exit)}); the end of ${failure.logFile}:`;
  return [head, ...lines.map((line) => `  ${line}`)].join('\n');
}

function isReady(message: unknown): boolean {
  return typeof message === 'object' && message !== null && 'type' in message && message.type === 'ready';
}
