import { describe, expect, inject, test } from 'vitest';
import { PostgresRelayLease } from '../../src/outbound/postgres/postgres-relay-lease.ts';
import { systemClock as clock } from '../../src/platform/clock.ts';
import { InMemoryLeaseRow, InMemoryRelayLease } from '../fakes/in-memory-relay-lease.ts';
import { openTestDatabase } from './open-test-database.ts';
import { describeRelayLease, type OpenedLeases } from './relay-lease.contract.ts';

describeRelayLease('Postgres', async (): Promise<OpenedLeases> => {
  const owner = new AsyncDisposableStack();
  const database = owner.use(await openTestDatabase(inject('postgresUrl')));
  // Long enough that nothing expires before it is to: then the row is made as old as it would be.
  const open = () =>
    owner.use(new PostgresRelayLease({ database: database.openDatabase(), clock, ttlMs: 60_000, answerMsMax: 30_000 }));
  const client = await database.connect();
  return {
    leases: [open(), open()],
    expire: async () =>
      void (await client.query("UPDATE relay_lease SET expires_at = expires_at - interval '61 seconds'")),
    [Symbol.asyncDispose]: async () => await owner.disposeAsync(),
  };
});

describeRelayLease('one process', async (): Promise<OpenedLeases> => {
  let nowMs = 0;
  const row = new InMemoryLeaseRow(1_000, () => nowMs);
  return await Promise.resolve({
    leases: [new InMemoryRelayLease(row), new InMemoryRelayLease(row)],
    expire: async () => await Promise.resolve(void (nowMs += 1_001)),
    [Symbol.asyncDispose]: async () => await Promise.resolve(),
  });
});

describe('the relay lease of Postgres', () => {
  test("is free when the database's clock was set back: its holder may be long gone", async () => {
    await using owner = new AsyncDisposableStack();
    const database = owner.use(await openTestDatabase(inject('postgresUrl')));
    const options = { database: database.openDatabase(), clock, ttlMs: 60_000, answerMsMax: 30_000 };
    const lease = owner.use(new PostgresRelayLease(options));
    await lease.claim('gone', 1);
    const client = await database.connect();
    await client.query("UPDATE relay_lease SET expires_at = expires_at + interval '1 hour'");
    expect(await lease.claim('next', 1)).toEqual({ holder: 'next', term: 2 });
  });

  test('rejects a claim that the database does not answer in time, and claims over another connection after that', async () => {
    await using owner = new AsyncDisposableStack();
    const database = owner.use(await openTestDatabase(inject('postgresUrl')));
    const options = { database: database.openDatabase(), clock, ttlMs: 60_000, answerMsMax: 100 };
    const lease = owner.use(new PostgresRelayLease({ ...options }));
    const client = await database.connect();
    await client.query('BEGIN');
    await client.query('LOCK TABLE relay_lease');
    await expect(lease.claim('one', 1)).rejects.toThrow('did not answer within 100 ms');
    await client.query('ROLLBACK');
    const patient = owner.use(new PostgresRelayLease({ ...options, answerMsMax: 30_000 }));
    expect(await patient.claim('one', 1)).toEqual({ holder: 'one', term: 1 });
  });

  test('tells one who waited for the claim of another that the other has it, and not what was before', async () => {
    await using owner = new AsyncDisposableStack();
    const database = owner.use(await openTestDatabase(inject('postgresUrl')));
    const options = { database: database.openDatabase(), clock, ttlMs: 60_000, answerMsMax: 30_000 };
    const lease = owner.use(new PostgresRelayLease(options));
    await lease.claim('before', 1);
    const other = await database.connect();
    await other.query('BEGIN');
    await other.query("UPDATE relay_lease SET holder = 'other', term = 2, expires_at = now() + interval '60 seconds'");
    const claim = lease.claim('before', 1);
    const watcher = await database.connect();
    for (let waiting = 0; waiting === 0;) {
      const { rows } = await watcher.query(
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
      );
      waiting = rows.length;
    }
    await other.query('COMMIT');
    expect(await claim).toEqual({ holder: 'other', term: 2 });
  });
});
