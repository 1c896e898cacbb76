import { spawn } from 'node:child_process';
import type { RunAs } from './run-as.ts';

/** How a short program ended. */
export type ProgramResult =
  | { readonly kind: 'exited'; readonly code: number; readonly output: string }
  | { readonly kind: 'killed'; readonly signal: string; readonly output: string }
  /** It never ran; `code` is the system's, such as `ENOENT` or `EACCES`. */
  | { readonly kind: 'not_started'; readonly code: string };

/** What to run. */
export interface ProgramOptions {
  readonly file: string;
  readonly arguments: readonly string[];
  /** Default: our own user. */
  readonly runAs?: RunAs | undefined;
  /** Kills it (SIGKILL: it must not outlive our cleaning up) when aborted. */
  readonly signal?: AbortSignal | undefined;
}

/** Output that is kept: initdb and `--version` print a few hundred bytes. */
const outputBytesMax = 64 * 1024;

/**
 * Runs a short program to its end in `/` (a dropped user may not reach our directory), in a process group of its own (so
 * that a Ctrl-C in the terminal reaches only us), with stdout and stderr together.
 */
export async function runProgram(options: ProgramOptions): Promise<ProgramResult> {
  return await new Promise((resolve) => {
    const child = spawn(options.file, options.arguments, {
      cwd: '/',
      detached: true,
      env: programEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe'],
      ...options.runAs,
    });
    let output = '';
    const collect = (chunk: Buffer): void => {
      if (output.length < outputBytesMax) output += chunk.toString('utf8');
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    const kill = (): void => {
      // The whole group: initdb has children that write into its directory.
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
    };
    options.signal?.addEventListener('abort', kill);
    if (options.signal?.aborted === true) kill();
    child.once('error', (error: NodeJS.ErrnoException) => {
      options.signal?.removeEventListener('abort', kill);
      resolve({ kind: 'not_started', code: error.code ?? error.message });
    });
    child.once('close', (code, signal) => {
      options.signal?.removeEventListener('abort', kill);
      resolve(
        code === null ? { kind: 'killed', signal: signal ?? 'unknown', output } : { kind: 'exited', code, output },
      );
    });
  });
}

/**
 * The environment of the servers: nothing of ours that could change them (PGPORT, PGDATA, LD_PRELOAD, a locale), messages
 * in English and times in UTC.
 */
export function programEnvironment(): Record<string, string> {
  return { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };
}
