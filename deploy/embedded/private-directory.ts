import { chmod, lstat, mkdir, rename, statfs, writeFile, type FileHandle, open } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import { StartError } from './start-error.ts';

/** How a directory is to be. */
export interface DirectoryOptions {
  /** Set when it is made here; one that exists keeps its own. */
  readonly mode: number;
  /** What the reader can set to have it elsewhere. Default `TM_STATE_DIR`. */
  readonly setting?: string;
}

/**
 * Makes a directory (and its parents) that only we write into, or accepts an existing one that is so: ours, no symbolic
 * link, not writable by others. Otherwise somebody else could have put binaries or data there for us to use.
 */
export async function ensurePrivateDirectory(path: string, options: DirectoryOptions): Promise<void> {
  const setting = options.setting ?? 'TM_STATE_DIR';
  try {
    await mkdir(path, { recursive: true, mode: options.mode });
  } catch (error) {
    throw new StartError(
      `cannot make ${path} (${errorCode(error)}): set ${setting} to a directory that you can write to`,
      {
        cause: error,
      },
    );
  }
  const found = await lstat(path);
  const problem = describeProblem(found);
  if (problem !== undefined) {
    throw new StartError(`${path} ${problem}: set ${setting} to a directory of your own`);
  }
  // A umask may have taken bits off.
  if (!isSharedEnough(found, options.mode)) await chmod(path, (found.mode & 0o777) | (options.mode & 0o111));
}

/** A dropped user must be able to enter a directory that is made for it to enter. */
function isSharedEnough(found: Stats, mode: number): boolean {
  return (mode & 0o111 & ~found.mode) === 0;
}

function describeProblem(found: Stats): string | undefined {
  if (found.isSymbolicLink()) return 'is a symbolic link';
  if (!found.isDirectory()) return 'is not a directory';
  if (found.uid !== process.geteuid?.()) return `belongs to another user (uid ${found.uid})`;
  if ((found.mode & 0o022) !== 0) return 'is writable by other users';
  return undefined;
}

/** Refuses in one line when the disk has less room than this. */
export async function requireFreeSpace(directory: string, bytes: number): Promise<void> {
  const disk = await statfs(directory);
  const free = disk.bavail * disk.bsize;
  if (free >= bytes) return;
  const megabytes = (count: number): string => `${Math.floor(count / 1024 / 1024)} MB`;
  throw new StartError(
    `only ${megabytes(free)} are free on the disk of ${directory} and Postgres needs ${megabytes(bytes)}: ` +
      'free some space, or set TM_STATE_DIR to a directory on another disk',
  );
}

/** Writes a file that only we read, whole or not at all, also when the machine stops in between. */
export async function writePrivateFile(path: string, text: string): Promise<void> {
  const partial = `${path}.partial`;
  await writeFile(partial, '', { mode: 0o600 });
  await chmod(partial, 0o600);
  let file: FileHandle | undefined;
  try {
    file = await open(partial, 'w');
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file?.close();
  }
  await rename(partial, path);
}

/** The system's code of an error, such as `EACCES`; its message when it has none. */
export function errorCode(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return error instanceof Error ? error.message : String(error);
}
