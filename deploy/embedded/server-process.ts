import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { openLog } from './log-file.ts';
import { errorCode } from './private-directory.ts';
import { waitUntilGone, type ProcessIdentity } from './process-identity.ts';
import type { RunAs } from './run-as.ts';

/** How a server ended. */
export interface ServerExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Something that can be told to stop and waited for: our child, or what a killed run left behind. */
export interface Stoppable {
  /** Sends a signal; a process that has gone is no error. */
  kill(signal: NodeJS.Signals): void;
  /** True once it has gone; false when it has not within the bound. */
  waitForExit(boundMs: number): Promise<boolean>;
}

/** One step down: what to send, and how long to wait for it to work. */
export interface StopStep {
  readonly signal: NodeJS.Signals;
  readonly boundMs: number;
}

/** A child that runs until it is told to stop. */
export interface ServerProcess extends Stoppable {
  readonly pid: number;
  /** Fulfilled at its end, never rejected. */
  readonly exited: Promise<ServerExit>;
  /** Undefined while it runs. */
  exit(): ServerExit | undefined;
  /** For messages, when it was spawned with `ipc`. */
  readonly child: ChildProcess;
}

/** What to run. */
export interface ServerProcessOptions {
  readonly file: string;
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Takes stdout and stderr; emptied first. */
  readonly logFile: string;
  /** Default `/`, which every user can enter. */
  readonly workingDirectory?: string;
  readonly runAs?: RunAs | undefined;
  /** Adds a channel that carries messages and closes when we die. Default: none. */
  readonly ipc?: boolean;
  /** Ends it at once when aborted, whatever it is doing. */
  readonly hardStop?: AbortSignal | undefined;
  /** What that sends. Default SIGKILL. */
  readonly hardStopWith?: NodeJS.Signals;
}

/**
 * Starts a server in a process group of its own, so that a Ctrl-C in the terminal reaches only us and we stop our parts in
 * order. Rejects with the system's error when it cannot be started.
 */
export async function spawnServer(options: ServerProcessOptions): Promise<ServerProcess> {
  const log = await openLog(options.logFile);
  try {
    const child = spawn(options.file, options.arguments, {
      cwd: options.workingDirectory ?? '/',
      detached: true,
      env: { ...options.environment },
      stdio: ['ignore', log.fd, log.fd, ...(options.ipc === true ? (['ipc'] as const) : [])],
      ...options.runAs,
    });
    const exited = new Promise<ServerExit>((resolve) => {
      child.once('exit', (code, signal) => {
        resolve({ code, signal });
      });
    });
    await once(child, 'spawn');
    // From here on an 'error' is a signal or message that came too late; without a listener it would end us.
    child.on('error', () => undefined);
    obeyHardStop(child, options);
    return wrapChild(child, exited);
  } finally {
    await log.close();
  }
}

function obeyHardStop(child: ChildProcess, options: ServerProcessOptions): void {
  const { hardStop, hardStopWith = 'SIGKILL' } = options;
  const kill = (): void => {
    child.kill('SIGCONT');
    child.kill(hardStopWith);
  };
  hardStop?.addEventListener('abort', kill);
  child.once('exit', () => hardStop?.removeEventListener('abort', kill));
  if (hardStop?.aborted === true) kill();
}

function wrapChild(child: ChildProcess, exited: Promise<ServerExit>): ServerProcess {
  let exit: ServerExit | undefined;
  void exited.then((value) => {
    exit = value;
  });
  return {
    pid: child.pid ?? 0,
    child,
    exited,
    exit: () => exit,
    kill: (signal) => {
      // Node knows whether it has reaped the child, so this never reaches a later process of the same pid.
      child.kill(signal);
    },
    waitForExit: async (boundMs) => await settlesWithin(exited, boundMs),
  };
}

/** A process that is not our child, to be stopped. */
export function wrapLeftover(identity: ProcessIdentity): Stoppable {
  return {
    kill: (signal) => {
      try {
        process.kill(identity.pid, signal);
      } catch (error) {
        if (errorCode(error) !== 'ESRCH') throw error;
      }
    },
    waitForExit: async (boundMs) => await waitUntilGone(identity, boundMs),
  };
}

/** Goes down the steps until it has gone; false when it survives even the last. */
export async function stopBySteps(server: Stoppable, steps: readonly StopStep[]): Promise<boolean> {
  for (const step of steps) {
    server.kill(step.signal);
    // A stopped (SIGSTOP) process takes no other signal than SIGKILL until it is continued.
    server.kill('SIGCONT');
    if (await server.waitForExit(step.boundMs)) return true;
  }
  return false;
}

/** Whether a promise settles in time. */
export async function settlesWithin(promise: Promise<unknown>, boundMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => {
      resolve(false);
    }, boundMs);
  });
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** How it ended, for a reader. */
export function describeExit(exit: ServerExit): string {
  return exit.signal === null ? `exit code ${String(exit.code)}` : `signal ${exit.signal}`;
}
