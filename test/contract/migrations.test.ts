import type { Client } from 'pg';
import { describe, expect, inject, test } from 'vitest';
import { Database } from '../../src/outbound/postgres/database.ts';
import { migrate } from '../../src/outbound/postgres/migrate.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';

describe('migrate', () => {
  async function connect(
    owner: AsyncDisposableStack,
    { url }: TestDatabase,
    statementTimeoutMs = 30_000,
  ): Promise<Client> {
    const options = { url, poolSize: 2, statementTimeoutMs, responseTimeoutMs: 30_000, onIdleError: () => {} };
    const client = owner.use(new Database(options)).dedicatedClient();
    await client.connect();
    owner.defer(async () => await client.end());
    return client;
  }

  async function emptyDatabase(owner: AsyncDisposableStack): Promise<TestDatabase> {
    return owner.use(await createDatabase(inject('postgresUrl')));
  }

  /** Everything that Postgres knows about the schema, and what has been applied. */
  async function describeSchema(client: Client): Promise<unknown> {
    const queries = [
      `SELECT table_name, column_name, data_type, datetime_precision, is_nullable, column_default, collation_name
        FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2`,
      `SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1`,
      `SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2`,
      `SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1`,
      `SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1`,
      `SELECT relname, reloptions FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1`,
      'SELECT name, checksum FROM schema_migrations ORDER BY name',
    ];
    const results: unknown[] = [];
    for (const query of queries) results.push((await client.query<object>(query)).rows);
    return results;
  }

  test('an empty database gets all migrations in order, and a second time none', async () => {
    await using owner = new AsyncDisposableStack();
    const client = await connect(owner, await emptyDatabase(owner));
    const applied = await migrate(client);
    expect(applied.length).toBeGreaterThan(0);
    expect(applied).toEqual(applied.toSorted());
    const schema = await describeSchema(client);
    expect(await migrate(client)).toEqual([]);
    expect(await describeSchema(client)).toEqual(schema);
  });

  test('programs that start together migrate once, and all of them find it done', async () => {
    await using owner = new AsyncDisposableStack();
    const reference = await connect(owner, await emptyDatabase(owner));
    const all = await migrate(reference);
    const database = await emptyDatabase(owner);
    const clients = await Promise.all(Array.from({ length: 6 }, async () => await connect(owner, database)));
    const applied = await Promise.all(clients.map(async (client) => await migrate(client)));
    expect(applied.flat()).toEqual(all);
    const [client] = clients;
    if (client === undefined) throw new Error('there is a client');
    expect(await describeSchema(client)).toEqual(await describeSchema(reference));
  });

  test('a migration that was edited after it was applied is refused, and nothing is changed', async () => {
    await using owner = new AsyncDisposableStack();
    const client = await connect(owner, await emptyDatabase(owner));
    const [first] = await migrate(client);
    await client.query('UPDATE schema_migrations SET checksum = $1 WHERE name = $2', ['of-other-text', first]);
    const schema = await describeSchema(client);
    await expect(migrate(client)).rejects.toThrow(`migration ${first} was edited after it was applied`);
    expect(await describeSchema(client)).toEqual(schema);
  });

  test('a database that a newer program has migrated is refused, and nothing is changed', async () => {
    await using owner = new AsyncDisposableStack();
    const client = await connect(owner, await emptyDatabase(owner));
    await migrate(client);
    await client.query("INSERT INTO schema_migrations (name, checksum) VALUES ('9999-from-tomorrow.sql', 'x')");
    const schema = await describeSchema(client);
    await expect(migrate(client)).rejects.toThrow('9999-from-tomorrow.sql');
    expect(await describeSchema(client)).toEqual(schema);
  });

  test('a migration that fails leaves nothing of itself, and the lock free for the next program', async () => {
    await using owner = new AsyncDisposableStack();
    const database = await emptyDatabase(owner);
    const client = await connect(owner, database);
    // Stands in the way of the first migration, after it has created other tables.
    await client.query('CREATE TABLE outbox (x int)');
    await expect(migrate(client)).rejects.toThrow('0001-configuration.sql failed');
    const { rows } = await client.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1");
    expect(rows).toEqual([{ tablename: 'outbox' }, { tablename: 'schema_migrations' }]);
    await client.query('DROP TABLE outbox');
    const next = await connect(owner, database);
    expect(await migrate(next)).toContain('0001-configuration.sql');
  });

  test('a program waits for another one that migrates for longer than its statements may take', async () => {
    await using owner = new AsyncDisposableStack();
    const database = await emptyDatabase(owner);
    const holder = await connect(owner, database);
    await holder.query('SELECT pg_advisory_lock(7400000001)');
    const patient = migrate(await connect(owner, database, 100));
    const isWaiting = `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'
      AND clock_timestamp() - query_start > interval '200 milliseconds'`;
    let settled = false;
    patient.then(
      () => (settled = true),
      () => (settled = true),
    );
    while (!settled && (await holder.query(isWaiting)).rows.length === 0);
    await holder.query('SELECT pg_advisory_unlock(7400000001)');
    expect(await patient).toContain('0001-configuration.sql');
  });
});
