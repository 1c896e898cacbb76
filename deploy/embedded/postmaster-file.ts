import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { limits } from './limits.ts';
import { describeProcess, hasArgument, type ProcessDescription } from './process-identity.ts';
import { errorCode } from './private-directory.ts';
import { stopBySteps, wrapLeftover, type StopStep } from './server-process.ts';
import { StartError } from './start-error.ts';

/** What a running Postgres writes about itself into its data directory (miscadmin.h, `LOCK_FILE_LINE_*`). */
export interface PostmasterFile {
  readonly pid: number;
  readonly port: number | undefined;
  /** It accepts connections. */
  readonly ready: boolean;
}

/** What was found of an earlier server. */
export type Leftover =
  /** No file: it was stopped cleanly, or never ran. */
  | { readonly kind: 'none' }
  /** Its process has gone without removing its file: it was killed. */
  | { readonly kind: 'crashed' }
  /** It outlived the run that started it, and was stopped now. */
  | { readonly kind: 'stopped'; readonly pid: number };

/** Fast shutdown (its clients are disconnected), then immediate (the next start recovers from the WAL), then the kernel. */
export const postgresStopSteps: readonly StopStep[] = [
  { signal: 'SIGINT', boundMs: limits.postgresStopMs },
  { signal: 'SIGQUIT', boundMs: limits.postgresQuitMs },
  { signal: 'SIGKILL', boundMs: limits.killedMs },
];

/** Reads `postmaster.pid`; undefined when there is none. */
export async function readPostmasterFile(dataDirectory: string): Promise<PostmasterFile | undefined> {
  let text: string;
  try {
    text = await readFile(join(dataDirectory, 'postmaster.pid'), 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  return parsePostmasterFile(text);
}

/** Lines: pid, data directory, start time, port, socket directory, listen address, shared memory, status. */
export function parsePostmasterFile(text: string): PostmasterFile {
  const lines = text.split('\n');
  const port = Number(lines[3] ?? '');
  return { pid: Number(lines[0] ?? ''), port: port > 0 ? port : undefined, ready: lines[7]?.trim() === 'ready' };
}

/**
 * Stops a server that outlived the run that started it (its launcher was killed), so that the new one owns its own.
 *
 * A pid alone is never trusted: it is signalled only if it is a `postgres` of this very data directory. If the pid now
 * belongs to something else, the file is made to name us: Postgres takes a file that names its parent for a stale one,
 * where it would refuse to start beside a foreign pid. (Rejected: deleting the file, for the rest of it leads Postgres to
 * the shared memory that tells whether processes of the old server are still at work.)
 */
export async function stopLeftoverPostgres(dataDirectory: string): Promise<Leftover> {
  const file = await readPostmasterFile(dataDirectory);
  if (file === undefined) return { kind: 'none' };
  const found = await describeProcess(Math.abs(file.pid));
  if (found === undefined) return { kind: 'crashed' };
  if (!(await isPostgresOf(found, dataDirectory))) {
    await nameOurselves(dataDirectory);
    return { kind: 'crashed' };
  }
  if (!(await stopBySteps(wrapLeftover(found), postgresStopSteps))) {
    throw new StartError(
      `a Postgres of an earlier run (pid ${found.pid}) still uses ${dataDirectory} and cannot be stopped: stop it (kill ${found.pid})`,
    );
  }
  return { kind: 'stopped', pid: found.pid };
}

async function isPostgresOf(found: ProcessDescription, dataDirectory: string): Promise<boolean> {
  if (found.program !== 'postgres') return false;
  if (hasArgument(found, dataDirectory)) return true;
  if (found.workingDirectory === undefined) return false;
  // Postgres works in its data directory, also after that was moved or if it was started by other means.
  const [here, there] = await Promise.all([stat(dataDirectory), stat(found.workingDirectory).catch(() => undefined)]);
  return there !== undefined && here.dev === there.dev && here.ino === there.ino;
}

async function nameOurselves(dataDirectory: string): Promise<void> {
  const path = join(dataDirectory, 'postmaster.pid');
  const [, ...rest] = (await readFile(path, 'utf8')).split('\n');
  await writeFile(path, [String(process.pid), ...rest].join('\n'));
}
