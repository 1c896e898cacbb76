import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import {
  access,
  chmod,
  copyFile,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
} from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { ensurePrivateDirectory, errorCode } from './private-directory.ts';
import { StartError } from './start-error.ts';

/** One entry of `pg-symlinks.json`; both paths are relative to the package and begin with `native/`. */
interface LibraryLink {
  readonly source: string;
  readonly target: string;
}

/**
 * Makes the symbolic links between the shared libraries, which npm packages cannot carry: the package's install script
 * does it, but npm 12 and `--ignore-scripts` do not run that. False when some are missing and cannot be made here.
 */
export async function ensureLibraryLinks(native: string): Promise<boolean> {
  try {
    for (const link of await readLinks(native)) {
      const target = resolve(native, '..', link.target);
      const source = resolve(native, '..', link.source);
      if (!isInside(native, target) || !isInside(native, source)) return false;
      if (await exists(target)) continue;
      await symlink(relative(dirname(target), source), target).catch((error: unknown) => {
        // Another process that starts at the same time has made it.
        if (errorCode(error) !== 'EEXIST') throw error;
      });
    }
    return true;
  } catch {
    return false;
  }
}

/** From where to where. */
export interface CopyOptions {
  readonly packageDirectory: string;
  /** `binaries-<version>` is made in it. */
  readonly copyDirectory: string;
}

/**
 * Copies the package's binaries to where every user can read them, once for each version, and answers where. The copy
 * appears by a rename, so a half-made one is never used; its directory is ours alone to write (checked).
 */
export async function copyBinaries(options: CopyOptions): Promise<string> {
  await ensurePrivateDirectory(options.copyDirectory, { mode: 0o755 });
  const manifest: unknown = JSON.parse(await readFile(join(options.packageDirectory, 'package.json'), 'utf8'));
  const copy = join(options.copyDirectory, `binaries-${readVersion(manifest)}`);
  if (await exists(copy)) {
    await ensurePrivateDirectory(copy, { mode: 0o755 });
    return copy;
  }
  const partial = `${copy}.partial-${process.pid}-${randomBytes(4).toString('hex')}`;
  const native = join(options.packageDirectory, 'native');
  try {
    await copyReadable(native, partial);
    for (const link of await readLinks(native)) {
      const target = resolve(partial, relative('native', link.target));
      const source = resolve(partial, relative('native', link.source));
      if (!isInside(partial, target) || !isInside(partial, source) || (await exists(target))) continue;
      await symlink(relative(dirname(target), source), target);
    }
    await rename(partial, copy);
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    // Another process that started at the same time was first.
    if (await exists(copy)) return copy;
    throw new StartError(
      `cannot copy the Postgres binaries to ${copy} (${errorCode(error)}): free some space (60 MB), set TM_STATE_DIR, or set DATABASE_URL`,
      { cause: error },
    );
  }
  return copy;
}

/** Copies what running needs, whatever the umask was at installation: readable by all, writable by us. */
async function copyReadable(from: string, to: string): Promise<void> {
  await mkdir(to, { mode: 0o755 });
  await chmod(to, 0o755);
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const source = join(from, entry.name);
    const target = join(to, entry.name);
    if (entry.isDirectory()) await copyReadable(source, target);
    else if (entry.isSymbolicLink()) await symlink(await readlink(source), target);
    // Static libraries are for building extensions.
    else if (entry.isFile() && !entry.name.endsWith('.a')) await copyReadableFile(source, target);
  }
}

async function copyReadableFile(source: string, target: string): Promise<void> {
  await copyFile(source, target, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  const { mode } = await lstat(source);
  await chmod(target, (mode & 0o111) === 0 ? 0o644 : 0o755);
}

async function readLinks(native: string): Promise<LibraryLink[]> {
  let text: string;
  try {
    text = await readFile(join(native, 'pg-symlinks.json'), 'utf8');
  } catch (error) {
    // The package of macOS has none.
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
  const links: unknown = JSON.parse(text);
  return Array.isArray(links) ? links.filter(isLibraryLink) : [];
}

function isLibraryLink(value: unknown): value is LibraryLink {
  return (
    typeof value === 'object' &&
    value !== null &&
    'source' in value &&
    typeof value.source === 'string' &&
    'target' in value &&
    typeof value.target === 'string'
  );
}

function readVersion(manifest: unknown): string {
  const version =
    typeof manifest === 'object' && manifest !== null && 'version' in manifest ? manifest.version : undefined;
  return typeof version === 'string' && /^[\w.+-]+$/.test(version) ? version : 'unknown';
}

function isInside(directory: string, path: string): boolean {
  return path.startsWith(resolve(directory) + sep);
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
