import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { lockDirectory } from './directory-lock.ts';
import { ensurePrivateDirectory, errorCode } from './private-directory.ts';
import { runProgram } from './run-program.ts';
import type { RunAs } from './run-as.ts';
import { StartError } from './start-error.ts';

/** Where everything that an embedded run keeps is: data, passwords, logs, sockets. Held by one run at a time. */
export interface StateDirectory extends AsyncDisposable {
  /** Absolute, without symbolic links. */
  readonly path: string;
  /** Holds one log for each part. */
  readonly logs: string;
}

/** What decides where it is. */
export interface StateDirectoryOptions {
  /** Of TM_STATE_DIR; a relative one is relative to the working directory. */
  readonly requested: string | undefined;
  readonly workingDirectory: string;
  /** Who must be able to pass through it besides us; undefined: nobody. */
  readonly serverUser: RunAs | undefined;
  /** Holds the directories of all checkouts when root runs them. Default `/var/lib/traffic-manager`. */
  readonly sharedParent?: string;
}

/**
 * Where it is: `TM_STATE_DIR`, else `.traffic-manager` beside the sources; but for root, whose sources are often under a
 * directory that only root may enter and whose database runs as another user, under `/var/lib/traffic-manager`. The hash
 * of the working directory keeps two checkouts apart.
 */
export function locateStateDirectory(options: StateDirectoryOptions): string {
  const { requested, workingDirectory, serverUser } = options;
  if (requested !== undefined && requested !== '') return resolve(workingDirectory, requested);
  if (serverUser === undefined) return join(workingDirectory, '.traffic-manager');
  const hash = createHash('sha256').update(workingDirectory).digest('hex').slice(0, 8);
  const name = basename(workingDirectory).replaceAll(/[^\w.-]/g, '_') || 'root';
  return join(options.sharedParent ?? '/var/lib/traffic-manager', `${name}-${hash}`);
}

/** Makes it if need be, checks that it can be used, and locks it; a second run on the same one is refused. */
export async function openStateDirectory(options: StateDirectoryOptions): Promise<StateDirectory> {
  const located = locateStateDirectory(options);
  // Others may pass through (0711), if Postgres must, but not look round.
  await ensurePrivateDirectory(located, { mode: options.serverUser === undefined ? 0o700 : 0o711 });
  const path = await realpath(located);
  if (options.serverUser !== undefined) await requireReachable(path, options.serverUser);
  const logs = join(path, 'logs');
  let result;
  try {
    await ensurePrivateDirectory(logs, { mode: 0o700 });
    result = await lockDirectory(path);
  } catch (error) {
    if (error instanceof StartError) throw error;
    throw new StartError(
      `cannot write to ${path} (${errorCode(error)}): set TM_STATE_DIR to a directory that you can write to`,
      {
        cause: error,
      },
    );
  }
  if (result.kind === 'held') {
    throw new StartError(
      `already running as pid ${result.holder.pid} with the state in ${path}: stop it first, or set TM_STATE_DIR ` +
        '(and TM_CONTROL_PLANE_ADDRESS and TM_SIDECAR_ADDRESS) for a second one beside it',
    );
  }
  return { path, logs, [Symbol.asyncDispose]: async () => await result.lock[Symbol.asyncDispose]() };
}

/** Asks the system itself, for modes are not all that decides (access lists, mounts, containers). */
async function requireReachable(path: string, user: RunAs): Promise<void> {
  const result = await runProgram({ file: '/bin/sh', arguments: ['-c', 'cd -- "$0"', path], runAs: user });
  if (result.kind === 'exited' && result.code === 0) return;
  if (result.kind === 'not_started') {
    throw new StartError(
      `cannot run a program as uid ${user.uid} (${result.code}), and Postgres does not run as root: ` +
        'start as a plain user, or set DATABASE_URL',
    );
  }
  throw new StartError(
    `${path} cannot be entered by uid ${user.uid}, which Postgres runs as because it refuses root: ` +
      'set TM_STATE_DIR to a directory outside those that only root may enter, such as one in /var/lib',
  );
}
