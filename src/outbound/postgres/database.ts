import { Client, Pool, types, type PoolConfig, type QueryResult, type QueryResultRow } from 'pg';
import { DomainError } from '../../domain/domain-error.ts';

const int8Oid = 20;

/** bigint columns hold revisions and milliseconds: as numbers, exact up to 2^53; beyond it a crash is right. */
function parseInt8(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`bigint ${text} is beyond 2^53`);
  return value;
}

/** node-pg's parsers, with bigint as number; its pool, client and this share them. */
const typeParsers: NonNullable<PoolConfig['types']> = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') =>
    oid === int8Oid && format !== 'binary'
      ? parseInt8
      : (types.getTypeParser(oid, format) as (text: string) => unknown),
};

export type DatabaseOptions = {
  /** `postgres://user:password@host:port/database`. */
  readonly url: string;
  /** Connections in the pool. */
  readonly poolSize: number;
  /** A statement that runs longer is ended by the server, ms. */
  readonly statementTimeoutMs: number;
  /** Waiting longer for a connection fails, ms. */
  readonly responseTimeoutMs: number;
  /** An idle connection broke: the pool replaces it; for the log. */
  readonly onIdleError: (error: Error) => void;
};

/** The database cannot be used at the start: its message is one line that says what to do. */
export class DatabaseStartError extends Error {}

/** One statement, prepared on each connection under its name. */
export type Statement = { readonly name: string; readonly text: string };

/** Postgres behind a pool whose failures are DomainErrors: DATABASE_UNAVAILABLE when it is out of reach, INTERNAL when it is a bug. */
export class Database {
  readonly #options: DatabaseOptions;
  #pool: Pool;

  constructor(options: DatabaseOptions) {
    this.#options = options;
    this.#pool = openPool(options);
  }

  async query<Row extends QueryResultRow>(statement: Statement, values: readonly unknown[] = []): Promise<Row[]> {
    const pool = this.#pool;
    try {
      const result: QueryResult<Row> = await pool.query<Row>({ ...statement, values: [...values] });
      return result.rows;
    } catch (error) {
      this.#distrustAfter(error, pool);
      throw asDomainError(error);
    }
  }

  /** Runs queries that all see one moment. A DomainError of `read` is its answer, and passes as it is. */
  async atOneMoment<Result>(
    read: (query: <Row extends QueryResultRow>(text: string, values?: unknown[]) => Promise<Row[]>) => Promise<Result>,
  ): Promise<Result> {
    const pool = this.#pool;
    try {
      const client = await pool.connect();
      let broken = true;
      // A connection that breaks fails the query under way, or the next one; nobody listening would end the process.
      const ignore = (): void => {};
      client.on('error', ignore);
      try {
        await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
        const outcome = await read(
          async <Row extends QueryResultRow>(text: string, values?: unknown[]) =>
            (await client.query<Row>(text, values)).rows,
        ).then(
          (result) => ({ result }),
          (error: unknown) => {
            if (error instanceof DomainError) return { error };
            throw error;
          },
        );
        await client.query('COMMIT');
        broken = false;
        if ('error' in outcome) throw outcome.error;
        return outcome.result;
      } finally {
        client.off('error', ignore);
        client.release(broken);
      }
    } catch (error) {
      this.#distrustAfter(error, pool);
      throw error instanceof DomainError ? error : asDomainError(error);
    }
  }

  /**
   * Takes new connections, all of them, when one went silent or broke: a network that forgot it has forgotten the others too, and each
   * would be found out only by a time-out of its own.
   */
  #distrustAfter(error: unknown, pool: Pool): void {
    // Where none is idle there is nothing to distrust: then the pool is only busy.
    if (error instanceof DomainError || sqlStateOf(error) !== undefined || pool !== this.#pool || pool.idleCount === 0)
      return;
    this.#pool = openPool(this.#options);
    // Statements under way are answered; what is idle goes. Nobody waits for that: it may be dead.
    pool.end().catch(() => {});
  }

  /** A connection of its own, for LISTEN and for locks; the caller connects and ends it. */
  dedicatedClient(): Client {
    return new Client({ ...connectionConfig(this.#options), connectionTimeoutMillis: this.#options.responseTimeoutMs });
  }

  /** The first connection of a program: when it cannot be made, that is for the operator to mend. */
  async connectDedicated(): Promise<Client> {
    const client = this.dedicatedClient();
    try {
      await client.connect();
      return client;
    } catch (error) {
      const { hostname, port, pathname } = new URL(this.#options.url);
      const why = error instanceof Error ? error.message : String(error);
      throw new DatabaseStartError(
        `cannot use the database at ${hostname}:${port || 5432}${pathname}: ${why}; check DATABASE_URL and that it runs`,
        { cause: error },
      );
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.end();
  }
}

/** How much later than the server's own time-out an answer may arrive, ms. */
const answerReserveMs = 500;

function openPool(options: DatabaseOptions): Pool {
  const pool = new Pool({
    ...connectionConfig(options),
    max: options.poolSize,
    connectionTimeoutMillis: options.responseTimeoutMs,
    // The server ends a long statement itself; this catches a server or a network that has gone silent.
    query_timeout: options.statementTimeoutMs + answerReserveMs,
  });
  pool.on('error', options.onIdleError);
  return pool;
}

function connectionConfig(options: DatabaseOptions): PoolConfig {
  return {
    connectionString: options.url,
    types: typeParsers,
    statement_timeout: options.statementTimeoutMs,
    application_name: 'traffic-manager',
    keepAlive: true,
  };
}

/** Whether an error is the database's refusal of a second row with the same key, by the name of the constraint. */
export function isDuplicate(error: unknown, constraint: string): boolean {
  const cause =
    error instanceof DomainError ? (error.cause as { code?: unknown; constraint?: unknown } | undefined) : undefined;
  return cause?.code === '23505' && cause.constraint === constraint;
}

/** SQLSTATE classes that mean "not now": connection, resources, operator intervention, and the serialisation failures. */
const transientClasses: ReadonlySet<string> = new Set(['08', '53', '57', '40', '55']);
/** read_only_sql_transaction: the server has become a standby, and somewhere there is another primary. */
const standby = '25006';

/** Undefined: no answer of the database, but a socket error, or a time-out of the pool or of the driver. */
function sqlStateOf(error: unknown): string | undefined {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

function asDomainError(error: unknown): DomainError {
  if (error instanceof DomainError) return error;
  const code = sqlStateOf(error);
  if (code !== undefined && code !== standby && !transientClasses.has(code.slice(0, 2)))
    return new DomainError('INTERNAL', 'internal error', { cause: error });
  return new DomainError(
    'DATABASE_UNAVAILABLE',
    'the database cannot be reached; repeat the call with the same request id',
    { retryDelayMs: 1_000, cause: error },
  );
}
