import { Client as Postgres, escapeIdentifier } from 'pg';
import type { Committed } from './check-observations.ts';

/** What Postgres itself has, asked past all control planes. */
async function ask<Row extends object>(databaseUrl: string, statement: string): Promise<Row[]> {
  const client = new Postgres({ connectionString: databaseUrl, connectionTimeoutMillis: 2_000, query_timeout: 5_000 });
  await client.connect();
  try {
    return (await client.query<Row>(statement)).rows;
  } finally {
    await client.end();
  }
}

type RouteRow = { readonly path: string; readonly revision: string; readonly url: string | null };

const path = "tenant || '/' || service || '/' || environment || '/' || version AS path";

/** Every change of a route that is in the log. */
export async function readCommitted(databaseUrl: string): Promise<Committed[]> {
  const rows = await ask<RouteRow>(
    databaseUrl,
    `SELECT ${path}, revision, CASE WHEN action <> 'DELETED' THEN after -> 'endpoints' -> 0 ->> 'url' END AS url
     FROM changes WHERE kind = 'route' ORDER BY revision`,
  );
  return rows.map(committedOf);
}

/** Every route that there is, by its path. */
export async function readTruth(databaseUrl: string): Promise<Map<string, Committed>> {
  const rows = await ask<RouteRow>(
    databaseUrl,
    `SELECT ${path}, revision, endpoints -> 0 ->> 'url' AS url FROM routes WHERE state <> 'DELETED'`,
  );
  return new Map(rows.map((row) => [row.path, committedOf(row)]));
}

function committedOf({ path: of, revision, url }: RouteRow): Committed {
  return { path: of, revision: Number(revision), url: url ?? undefined };
}

/** Keeps a copy of the database beside it, as it is now; whoever is connected is disconnected. */
export async function backUpDatabase(databaseUrl: string): Promise<void> {
  const { admin, name } = administration(databaseUrl);
  await ask(admin, `ALTER DATABASE ${name} WITH ALLOW_CONNECTIONS false`);
  try {
    await disconnectAll(databaseUrl);
    await ask(admin, `CREATE DATABASE ${backupOf(databaseUrl)} TEMPLATE ${name}`);
  } finally {
    await ask(admin, `ALTER DATABASE ${name} WITH ALLOW_CONNECTIONS true`);
  }
}

/** Puts the copy in the place of the database: everything since is gone. */
export async function restoreDatabase(databaseUrl: string): Promise<void> {
  const { admin, name } = administration(databaseUrl);
  await ask(admin, `ALTER DATABASE ${name} WITH ALLOW_CONNECTIONS false`);
  await ask(admin, `DROP DATABASE ${name} WITH (FORCE)`);
  await ask(admin, `ALTER DATABASE ${backupOf(databaseUrl)} RENAME TO ${name}`);
}

/** Breaks every connection to the database. */
async function disconnectAll(databaseUrl: string): Promise<void> {
  const { admin, plainName } = administration(databaseUrl);
  await ask(
    admin,
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${plainName}' AND pid <> pg_backend_pid()`,
  );
}

function administration(databaseUrl: string): { admin: string; name: string; plainName: string } {
  const admin = new URL(databaseUrl);
  const plainName = admin.pathname.slice(1);
  admin.pathname = '/postgres';
  return { admin: admin.href, name: escapeIdentifier(plainName), plainName };
}

function backupOf(databaseUrl: string): string {
  return escapeIdentifier(`${administration(databaseUrl).plainName}_backup`);
}
