import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Client, escapeIdentifier } from 'pg';
import { startPostgres, type PostgresServer } from '../../deploy/embedded/postgres-server.ts';
import { signalTree } from './process-tree.ts';
import { makeScratchDirectory, sharedScratch } from './scratch-directory.ts';

/** A Postgres to make databases in; disposing stops it if it was started here. */
export interface ProvidedPostgres extends AsyncDisposable {
  /** Of a superuser. */
  readonly url: string;
}

/** The Postgres of `DATABASE_URL_TEST`, else one for this run: not durable, so about twice as fast. */
export async function providePostgres(): Promise<ProvidedPostgres> {
  const url = process.env['DATABASE_URL_TEST'];
  if (url !== undefined && url !== '') return { url, [Symbol.asyncDispose]: async () => await Promise.resolve() };
  return await startTestPostgres({ durable: false, settings: { max_connections: '200' } });
}

/** A database for one test file or one test; disposing drops it, whoever is still connected. */
export interface TestDatabase extends AsyncDisposable {
  readonly url: string;
  readonly name: string;
}

/** What it is to be like. */
export interface DatabaseOptions {
  /** Default: a random one. */
  readonly name?: string;
  /** A database to copy, such as a migrated one: nobody may be connected to it. Default: empty. */
  readonly template?: string;
}

/** Makes a database. `adminUrl`: test files have it from `inject('postgresUrl')`. */
export async function createDatabase(adminUrl: string, options: DatabaseOptions = {}): Promise<TestDatabase> {
  const name = options.name ?? `test_${randomBytes(8).toString('hex')}`;
  const template = options.template === undefined ? '' : ` TEMPLATE ${escapeIdentifier(options.template)}`;
  await runStatement(adminUrl, `CREATE DATABASE ${escapeIdentifier(name)}${template}`);
  const url = new URL(adminUrl);
  url.pathname = `/${encodeURIComponent(name)}`;
  const drop = async (): Promise<void> =>
    await runStatement(adminUrl, `DROP DATABASE IF EXISTS ${escapeIdentifier(name)} WITH (FORCE)`);
  return { url: url.href, name, [Symbol.asyncDispose]: drop };
}

async function runStatement(url: string, statement: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

/** A Postgres of a test's own, to be broken: its address and its data stay the same whatever is done to it. */
export interface TestPostgres extends AsyncDisposable {
  /** Of a superuser; the same after each start. */
  readonly url: string;
  readonly port: number;
  /** Of the postmaster that runs now, or ran last. */
  readonly pid: number;
  /** Fast shutdown: clients are disconnected. Waits for its end. */
  stop(): Promise<void>;
  /** SIGKILL for the postmaster and every backend, as when the machine loses power; waits for the postmaster's end. */
  crash(): Promise<void>;
  /** Starts it after `stop` or `crash`; ready when this is fulfilled. */
  start(): Promise<void>;
  /** SIGSTOP for the postmaster and every backend: connections stay open and nobody answers. */
  freeze(): Promise<void>;
  /** SIGCONT. */
  thaw(): Promise<void>;
}

/** What it is to be like. */
export interface TestPostgresOptions {
  /** True: commits are flushed to the disk, as in production. Default false. */
  readonly durable?: boolean;
  readonly settings?: Readonly<Record<string, string>>;
}

/** Starts a Postgres with a directory of its own: about 0.8 s. */
export async function startTestPostgres(options: TestPostgresOptions = {}): Promise<TestPostgres> {
  await using stack = new AsyncDisposableStack();
  const scratch = stack.use(await makeScratchDirectory());
  const launch = {
    directory: join(scratch.path, 'postgres'),
    binariesDirectory: await sharedScratch(),
    durable: options.durable ?? false,
    settings: options.settings ?? {},
  };
  let server: PostgresServer = await startPostgres(launch);
  const { url, port } = server;
  const stop = async (): Promise<void> => {
    // Frozen backends would not hear of it.
    await signalTree(server.pid, 'SIGCONT');
    await server.stop();
  };
  stack.defer(stop);
  const owned = stack.move();
  return {
    url,
    port,
    get pid() {
      return server.pid;
    },
    stop,
    crash: async () => {
      await signalTree(server.pid, 'SIGKILL');
      await server.exited;
    },
    start: async () => {
      server = await startPostgres({ ...launch, port });
    },
    freeze: async () => await signalTree(server.pid, 'SIGSTOP'),
    thaw: async () => await signalTree(server.pid, 'SIGCONT'),
    [Symbol.asyncDispose]: async () => await owned.disposeAsync(),
  };
}
