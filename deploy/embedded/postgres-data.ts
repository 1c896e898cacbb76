import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { limits } from './limits.ts';
import type { PostgresBinaries } from './postgres-binaries.ts';
import { errorCode, requireFreeSpace, writePrivateFile } from './private-directory.ts';
import { runProgram } from './run-program.ts';
import { nameUser, type RunAs } from './run-as.ts';
import { StartError } from './start-error.ts';

/** The superuser that initdb makes. */
export const postgresUser = 'postgres';

/** What the data is to be like. */
export interface DataOptions {
  /** Holds `data` and `password`. */
  readonly directory: string;
  readonly binaries: PostgresBinaries;
  readonly runAs: RunAs | undefined;
  /** False: new data is not flushed to the disk. */
  readonly durable: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** Where data and password are. */
export interface PostgresData {
  readonly directory: string;
  readonly password: string;
  /** It was made now. */
  readonly fresh: boolean;
}

/** Major version that existing data is of; undefined when there is no data. */
export async function readDataMajor(directory: string): Promise<number | undefined> {
  const path = join(directory, 'data');
  try {
    return Number((await readFile(join(path, 'PG_VERSION'), 'utf8')).trim());
  } catch (error) {
    const entries = await readdir(path).catch(() => []);
    if (errorCode(error) === 'ENOENT' && entries.length === 0) return undefined;
    throw new StartError(
      `${path} holds no Postgres data (PG_VERSION: ${errorCode(error)}): move it away, or set TM_STATE_DIR`,
      {
        cause: error,
      },
    );
  }
}

/** Takes the data that there is, or makes it. Data appears whole: initdb works beside it, and a rename puts it there. */
export async function preparePostgresData(options: DataOptions): Promise<PostgresData> {
  const data = join(options.directory, 'data');
  const passwordFile = join(options.directory, 'password');
  const major = await readDataMajor(options.directory);
  await removeUnfinished(options.directory);
  if (major === undefined) {
    await requireFreeSpace(options.directory, limits.freshDataBytes);
    const password = (await readPassword(passwordFile)) ?? randomBytes(24).toString('base64url');
    await writePrivateFile(passwordFile, password);
    await initialise({ ...options, password, data });
    return { directory: data, password, fresh: true };
  }
  if (major !== options.binaries.major) {
    throw new StartError(
      `${data} holds data of Postgres ${major}, which Postgres ${options.binaries.major} cannot read: ` +
        `move it away to start empty, or install Postgres ${major}, or set DATABASE_URL`,
    );
  }
  await requireFreeSpace(options.directory, limits.existingDataBytes);
  const password = await readPassword(passwordFile);
  if (password === undefined) {
    throw new StartError(
      `${passwordFile} is missing, so ${data} cannot be opened: put it back, or move the data away to start empty`,
    );
  }
  return { directory: data, password, fresh: false };
}

async function readPassword(path: string): Promise<string | undefined> {
  try {
    const password = (await readFile(path, 'utf8')).trim();
    return password === '' ? undefined : password;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw new StartError(`cannot read ${path} (${errorCode(error)}): make it readable, or set TM_STATE_DIR`, {
      cause: error,
    });
  }
}

/**
 * What runs that were killed during initdb have left. Their initdb may still be at work in it for a second, until it misses
 * its files; what cannot be removed now is in nobody's way, and is the next start's to remove.
 */
async function removeUnfinished(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!name.startsWith('initialising-')) continue;
    const { removeAttempts: maxRetries, removeRetryMs: retryDelay } = limits;
    await rm(join(directory, name), { recursive: true, force: true, maxRetries, retryDelay }).catch(() => undefined);
  }
}

interface InitialiseOptions extends DataOptions {
  readonly password: string;
  readonly data: string;
}

async function initialise(options: InitialiseOptions): Promise<void> {
  const { runAs } = options;
  const work = join(options.directory, `initialising-${randomBytes(6).toString('hex')}`);
  const target = join(work, 'data');
  const passwordFile = join(work, 'password');
  await mkdir(work, { mode: 0o700 });
  try {
    await writeFile(passwordFile, options.password, { mode: 0o600 });
    await chmod(passwordFile, 0o600);
    if (runAs !== undefined) {
      await chown(passwordFile, runAs.uid, runAs.gid);
      await chown(work, runAs.uid, runAs.gid);
    }
    const [file = '', ...arguments_] = [
      ...(runAs === undefined ? await nameUser() : []),
      join(options.binaries.directory, 'initdb'),
      `--pgdata=${target}`,
      `--username=${postgresUser}`,
      `--pwfile=${passwordFile}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      // C sorts alike on every system and version, so an index never depends on the host's libraries.
      '--locale=C',
      '--no-instructions',
      ...(options.durable ? [] : ['--no-sync']),
    ];
    const result = await runProgram({ file, arguments: arguments_, runAs, signal: options.signal });
    options.signal?.throwIfAborted();
    if (result.kind !== 'exited' || result.code !== 0) {
      await requireFreeSpace(options.directory, limits.existingDataBytes);
      const reason = result.kind === 'not_started' ? result.code : lastLine(result.output);
      throw new StartError(
        `initdb of Postgres ${options.binaries.version} failed: ${reason}; set DATABASE_URL to use another one`,
      );
    }
    await rename(target, options.data);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** The line that says why: initdb ends with what it cleaned up. */
function lastLine(output: string): string {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  return lines.find((line) => /\b(?:error|fatal|panic):/i.test(line)) ?? lines.at(-1) ?? 'it said nothing';
}
