import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import type { Change } from '../../src/domain/change.ts';
import { DomainError } from '../../src/domain/domain-error.ts';
import type { ConfigurationStore } from '../../src/ports/configuration-store.ts';
import { createRoute, exampleKey, moveRoute, setDefaultVersion } from '../fakes/example-configuration.ts';
import { openTestDatabase, readEveryRow, type OpenedDatabase } from './open-test-database.ts';
import { TenantHistory } from './tenant-history.ts';

/** What the Postgres store keeps beside what its port answers, and how its failures read. */
describe('the Postgres store', () => {
  let database: OpenedDatabase;
  let store: ConfigurationStore;
  let client: Client;

  beforeAll(async () => {
    database = await openTestDatabase(inject('postgresUrl'));
    store = database.openStore();
    client = await database.connect();
  });
  afterAll(async () => await database[Symbol.asyncDispose]());

  async function tenantWithRoute(tenant: string): Promise<TenantHistory> {
    const history = await new TenantHistory(store, tenant).begin();
    await history.commit([
      createRoute(exampleKey('v1', { tenant })),
      setDefaultVersion(exampleKey('v1', { tenant }), 'v1'),
    ]);
    return history;
  }

  test('a conflict writes no row in any table', async () => {
    const history = await tenantWithRoute('conflict');
    const { tenant } = history;
    const key = exampleKey('v1', { tenant });
    const changes = history.stage([
      moveRoute(key, 'grpc://moved'),
      createRoute({ ...key, version: 'v2' }),
      setDefaultVersion(key, 'v2'),
    ]);
    const replies = [{ requestId: 'r', fingerprint: 'f', revision: 6, outcomes: [] }];
    const before = await readEveryRow(client);
    expect(Object.keys(before)).toEqual(
      expect.arrayContaining(['changes', 'outbox', 'request_replies', 'routes', 'tenants', 'traffic_policies']),
    );
    const expected = { ...history.position, commitId: 'somebody-else' };
    expect(await store.commit({ tenant, expected, changes, replies })).toEqual({ kind: 'conflict' });
    expect(await readEveryRow(client)).toEqual(before);
  });

  test('a commit that the database refuses half-way writes no row in any table', async () => {
    const history = await tenantWithRoute('refused');
    const { tenant } = history;
    const [good, bad] = history.stage([
      createRoute(exampleKey('v2', { tenant })),
      createRoute(exampleKey('v3', { tenant })),
    ]);
    if (good === undefined || bad?.subject.kind !== 'route') throw new Error('two routes are staged');
    const broken = { ...bad.subject.after, lifecycle: { state: 'LOST' } } as unknown as typeof bad.subject.after;
    const changes: Change[] = [good, { ...bad, subject: { ...bad.subject, after: broken } }];
    const before = await readEveryRow(client);
    const commit = store.commit({ tenant, expected: history.position, changes, replies: [] });
    await expect(commit).rejects.toMatchObject({ name: 'DomainError', reason: 'INTERNAL' });
    expect(await readEveryRow(client)).toEqual(before);
  });

  test('every change leaves its revision in the outbox, in the same commit', async () => {
    const { tenant, changes } = await tenantWithRoute('outbox');
    const { rows } = await client.query('SELECT revision FROM outbox WHERE tenant = $1 ORDER BY revision', [tenant]);
    expect(rows).toEqual(changes.map(({ revision }) => ({ revision })));
  });

  test.for(['UPDATE changes SET actor = actor', 'DELETE FROM changes', 'TRUNCATE changes'])(
    'the change log refuses %s',
    async (statement) => {
      const before = (await readEveryRow(client))['changes'];
      expect(before).not.toEqual([]);
      await expect(client.query(statement)).rejects.toThrow('the change log is append-only');
      expect((await readEveryRow(client))['changes']).toEqual(before);
    },
  );

  test('a reply is forgotten after 24 hours, and its id may be used again', async () => {
    const history = await tenantWithRoute('forgotten');
    const { tenant } = history;
    const reply = { requestId: 'again', fingerprint: 'first', revision: 3, outcomes: [] };
    await store.commit({ tenant, expected: history.position, changes: [], replies: [reply] });
    const age = async (interval: string): Promise<unknown> =>
      await client.query('UPDATE request_replies SET create_time = now() - $2::interval WHERE tenant = $1', [
        tenant,
        interval,
      ]);
    await age('23 hours 59 minutes');
    expect(await store.replies(tenant, ['again'])).toEqual([reply]);
    await age('24 hours 1 minute');
    expect(await store.replies(tenant, ['again'])).toEqual([]);
    const second = { ...reply, fingerprint: 'second' };
    await store.commit({ tenant, expected: history.position, changes: [], replies: [second] });
    expect(await store.replies(tenant, ['again'])).toEqual([second]);
  });

  test('a commit whose connection breaks rejects with DATABASE_UNAVAILABLE, and the next one finds another', async () => {
    const history = await tenantWithRoute('broken');
    const { tenant, position: expected } = history;
    const changes = history.stage([createRoute(exampleKey('v2', { tenant }))]);
    // Its row is locked, so the commit waits in the database while its connection is ended.
    const locker = await database.connect();
    await locker.query('BEGIN');
    await locker.query('SELECT FROM tenants WHERE tenant = $1 FOR UPDATE', [tenant]);
    const commit = store.commit({ tenant, expected, changes, replies: [] }).catch((error: unknown) => error);
    let ended = 0;
    while (ended === 0) {
      const { rows } = await client.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%WITH wanted AS%' AND pid <> pg_backend_pid()`,
      );
      ended = rows.length;
    }
    expect(await commit).toBeInstanceOf(DomainError);
    expect(await commit).toMatchObject({ reason: 'DATABASE_UNAVAILABLE', retryDelayMs: 1_000 });
    await locker.query('ROLLBACK');
    expect(await store.changesFrom(tenant, 1, 100)).toEqual(history.changes);
    await history.commitChanges(changes);
    expect(await store.changesFrom(tenant, 1, 100)).toEqual(history.changes);
  });

  test('a database that has become read-only, as a standby is, is unavailable, not broken', async () => {
    const readOnlyStore = database.openStore();
    const history = await tenantWithRoute('standby');
    const { tenant, position: expected } = history;
    const setReadOnly = async (value: string): Promise<unknown> =>
      await client.query(
        `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = ${value}', current_database()); END $$`,
      );
    await setReadOnly('on');
    try {
      const changes = history.stage([createRoute(exampleKey('v2', { tenant }))]);
      const commit = readOnlyStore.commit({ tenant, expected, changes, replies: [] });
      await expect(commit).rejects.toMatchObject({ reason: 'DATABASE_UNAVAILABLE' });
    } finally {
      await client.query('SET default_transaction_read_only = off');
      await setReadOnly('off');
    }
  });
});
