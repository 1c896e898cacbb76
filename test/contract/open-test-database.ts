import type { Client } from 'pg';
import { Database } from '../../src/outbound/postgres/database.ts';
import { migrate } from '../../src/outbound/postgres/migrate.ts';
import { PostgresConfigurationStore } from '../../src/outbound/postgres/postgres-configuration-store.ts';
import { createDatabase } from '../support/postgres.ts';

/** A migrated database; disposing closes what was opened of it, and drops it. */
export type OpenedDatabase = AsyncDisposable & {
  readonly url: string;
  /** A store with a pool of its own, as another replica has it. */
  openStore(): PostgresConfigurationStore;
  openDatabase(): Database;
  /** A connection of its own, for statements that no store makes. */
  connect(): Promise<Client>;
};

export async function openTestDatabase(adminUrl: string): Promise<OpenedDatabase> {
  const owned = new AsyncDisposableStack();
  try {
    const { url } = owned.use(await createDatabase(adminUrl));
    const options = { url, poolSize: 4, statementTimeoutMs: 30_000, responseTimeoutMs: 30_000, onIdleError: () => {} };
    const openDatabase = (): Database => owned.use(new Database(options));
    const connect = async (): Promise<Client> => {
      const client = openDatabase().dedicatedClient();
      await client.connect();
      owned.defer(async () => await client.end());
      return client;
    };
    await migrate(await connect());
    return {
      url,
      openDatabase,
      openStore: () => new PostgresConfigurationStore(openDatabase()),
      connect,
      [Symbol.asyncDispose]: async () => await owned.disposeAsync(),
    };
  } catch (error) {
    await owned.disposeAsync();
    throw error;
  }
}

/** Every row of every table, by the names of the tables: to see that nothing was written. */
export async function readEveryRow(client: Client): Promise<Record<string, unknown[]>> {
  const { rows: tables } = await client.query<{ name: string }>(
    `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename`,
  );
  const contents: Record<string, unknown[]> = {};
  for (const { name } of tables) {
    contents[name] = (await client.query<object>(`SELECT * FROM ${name} t ORDER BY t::text`)).rows;
  }
  return contents;
}
