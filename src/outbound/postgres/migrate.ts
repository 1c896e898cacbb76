import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import type { Client } from 'pg';
import { DatabaseStartError } from './database.ts';

/** Any constant: all replicas lock the same one. */
const migrationLockKey = 7_400_000_001;
const directory = new URL('./migrations/', import.meta.url);

type Migration = { readonly name: string; readonly sql: string; readonly checksum: string };

async function readMigrations(): Promise<Migration[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.sql')).toSorted();
  return Promise.all(
    names.map(async (name) => {
      const sql = await readFile(new URL(name, directory), 'utf8');
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}

/**
 * Brings the schema up to date: numbered files, in order, each once, each in its own transaction with the row that says so.
 * Replicas that start together take turns by an advisory lock. A file that was edited after it was applied is refused, and
 * so is a database that a newer program has migrated. The client is used for nothing else.
 */
export async function migrate(client: Client): Promise<string[]> {
  const migrations = await readMigrations();
  // An index takes as long as it takes, and so does waiting for the replica that builds it.
  await client.query('SET statement_timeout = 0');
  await client.query('SELECT pg_advisory_lock($1)', [migrationLockKey]);
  try {
    await client.query(
      'CREATE TABLE IF NOT EXISTS schema_migrations (name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())',
    );
    const { rows } = await client.query<{ name: string; checksum: string }>(
      'SELECT name, checksum FROM schema_migrations ORDER BY name',
    );
    const known = new Set(migrations.map((migration) => migration.name));
    const newer = rows.find((row) => !known.has(row.name));
    if (newer !== undefined)
      throw new DatabaseStartError(
        `the database has migration ${newer.name}, which this program does not know: start a newer one`,
      );
    const applied = new Map(rows.map((row) => [row.name, row.checksum]));
    const pending = migrations.filter((migration) => !isApplied(migration, applied));
    for (const migration of pending) await applyMigration(client, migration);
    return pending.map((migration) => migration.name);
  } finally {
    await client.query('SELECT pg_advisory_unlock($1)', [migrationLockKey]);
  }
}

function isApplied(migration: Migration, applied: ReadonlyMap<string, string>): boolean {
  const checksum = applied.get(migration.name);
  if (checksum === undefined) return false;
  if (checksum !== migration.checksum)
    throw new DatabaseStartError(
      `migration ${migration.name} was edited after it was applied: migrations are append-only`,
    );
  return true;
}

async function applyMigration(client: Client, migration: Migration): Promise<void> {
  await client.query('BEGIN');
  try {
    await client.query(migration.sql);
    await client.query('INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2)', [
      migration.name,
      migration.checksum,
    ]);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK');
    throw new Error(`migration ${migration.name} failed`, { cause: error });
  }
}
