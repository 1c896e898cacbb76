import { Client } from 'pg';
import { describe, expect, inject, test } from 'vitest';
import { createDatabase, startTestPostgres } from '../support/postgres.ts';

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

describe('a database for a test', () => {
  test('is empty, apart from others, and dropped although somebody is connected', async () => {
    const adminUrl = inject('postgresUrl');
    const database = await createDatabase(adminUrl);
    await query(database.url, 'CREATE TABLE note (text text)');
    await using copy = await createDatabase(adminUrl, { name: 'copy of "it"', template: database.name });
    expect(await query(copy.url, 'SELECT count(*)::int AS notes FROM note')).toEqual([{ notes: 0 }]);
    const guest = new Client({ connectionString: database.url });
    const thrownOut = new Promise((resolve) => void guest.on('error', resolve));
    await guest.connect();
    await database[Symbol.asyncDispose]();
    await expect(thrownOut).resolves.toBeDefined();
    const names = await query(adminUrl, `SELECT FROM pg_database WHERE datname = '${database.name}'`);
    expect(names).toEqual([]);
  });
});

describe('a Postgres for fault tests', () => {
  test('keeps its address and every committed row over a crash with open connections', async () => {
    await using server = await startTestPostgres({ settings: { max_connections: '9' } });
    const guest = new Client({ connectionString: server.url });
    const cutOff = new Promise((resolve) => void guest.on('error', resolve));
    await guest.connect();
    await guest.query('CREATE TABLE note (text text)');
    for (const text of ['1', '2', '3']) await guest.query('INSERT INTO note VALUES ($1)', [text]);
    const { pid } = server;
    await server.crash();
    await cutOff;
    await server.start();
    expect(server.pid).not.toBe(pid);
    expect(
      await query(server.url, `SELECT count(*)::int AS notes, current_setting('max_connections') AS most FROM note`),
    ).toEqual([{ notes: 3, most: '9' }]);
  });

  test('answers again after it was frozen, and stops while it is', async () => {
    await using server = await startTestPostgres();
    await server.freeze();
    const answer = query(server.url, 'SELECT 1 AS one');
    await server.thaw();
    expect(await answer).toEqual([{ one: 1 }]);
    await server.freeze();
    await server.stop();
    await expect(query(server.url, 'SELECT 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });
});
