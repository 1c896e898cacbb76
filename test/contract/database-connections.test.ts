import { expect, inject, test } from 'vitest';
import { Database } from '../../src/outbound/postgres/database.ts';
import { createDatabase } from '../support/postgres.ts';
import { TcpProxy } from '../support/stream-faults/tcp-proxy.ts';

const connections = 4;

async function connectedThroughProxy(owned: AsyncDisposableStack) {
  const { url } = owned.use(await createDatabase(inject('postgresUrl')));
  const { hostname: host, port } = new URL(url);
  const proxy = owned.use(await TcpProxy.start({ host, port: Number(port) }));
  const timeouts = { statementTimeoutMs: 500, responseTimeoutMs: 500 };
  const options = { url: proxy.through(url), poolSize: connections, ...timeouts, onIdleError: () => {} };
  const database = owned.use(new Database(options));
  // As many statements at once as there are connections, so that all of them are made.
  const pids = await Promise.all(Array.from({ length: connections }, () => pidOf(database, 0.1)));
  expect(new Set(pids).size).toBe(connections);
  return { database, proxy };
}

async function pidOf(database: Database, seconds = 0): Promise<number> {
  const text = `SELECT pg_backend_pid() AS pid, pg_sleep(${seconds})`;
  const [row] = await database.query<{ pid: number }>({ name: `pid-${seconds}`, text });
  return row?.pid ?? 0;
}

test('of connections that the network has forgotten, all at once, only the first statement suffers', async () => {
  await using owned = new AsyncDisposableStack();
  const { database, proxy } = await connectedThroughProxy(owned);
  proxy.abandonAll();
  await expect(pidOf(database)).rejects.toMatchObject({ reason: 'DATABASE_UNAVAILABLE' });
  for (let statement = 0; statement < connections; statement++) expect(await pidOf(database)).toBeGreaterThan(0);
});

test('a statement that is refused takes no connection with it', async () => {
  await using owned = new AsyncDisposableStack();
  const { database } = await connectedThroughProxy(owned);
  const before = await database.query<{ pid: number }>({ name: 'all', text: backends });
  await expect(database.query({ name: 'wrong', text: 'SELECT 1 / 0' })).rejects.toMatchObject({ reason: 'INTERNAL' });
  await expect(pidOf(database, 1)).rejects.toMatchObject({ reason: 'DATABASE_UNAVAILABLE' });
  const after = await database.query<{ pid: number }>({ name: 'all', text: backends });
  // The pool itself gives up the two that failed.
  expect(before.filter(({ pid }) => after.some((each) => each.pid === pid)).length).toBeGreaterThanOrEqual(
    connections - 2,
  );
});

const backends = `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'`;
