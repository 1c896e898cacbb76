import { describe, expect, inject, test } from 'vitest';
import { PostgresChangeSignal } from '../../src/outbound/postgres/postgres-change-signal.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { newId } from '../../src/platform/random.ts';
import { createLogger } from '../../src/platform/logger.ts';
import type { ChangeSignal } from '../../src/ports/configuration-store.ts';
import { InMemoryChangeSignals } from '../fakes/in-memory-change-signal.ts';
import { describeChangeSignal, Ear, type OpenedSignals } from './change-signal.contract.ts';
import { openTestDatabase, type OpenedDatabase } from './open-test-database.ts';

function openSignal(owner: AsyncDisposableStack, database: OpenedDatabase): ChangeSignal {
  const logger = createLogger('control-plane', 'silent');
  // No delay before listening again: what is waited for is the event, not the time.
  const options = {
    replicaId: newId(),
    database: database.openDatabase(),
    clock: systemClock,
    random: () => 0,
    logger,
  };
  return owner.use(new PostgresChangeSignal(options));
}

describeChangeSignal('Postgres', async (): Promise<OpenedSignals> => {
  const owner = new AsyncDisposableStack();
  const database = owner.use(await openTestDatabase(inject('postgresUrl')));
  const signals = [openSignal(owner, database), openSignal(owner, database)] as const;
  return { signals, [Symbol.asyncDispose]: async () => await owner.disposeAsync() };
});

describeChangeSignal('one process', async (): Promise<OpenedSignals> => {
  const bus = new InMemoryChangeSignals();
  return await Promise.resolve({
    signals: [bus.open(), bus.open()],
    [Symbol.asyncDispose]: async () => await Promise.resolve(),
  });
});

describe('the change signal of Postgres', () => {
  test('listens again when its connection breaks, and says that hints may have been lost', async () => {
    await using owner = new AsyncDisposableStack();
    const database = owner.use(await openTestDatabase(inject('postgresUrl')));
    const client = await database.connect();
    const ear = new Ear(openSignal(owner, database));
    await ear.until(({ heard }) => heard.length === 1);
    const { rows } = await client.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'",
    );
    expect(rows).toHaveLength(1);
    await ear.until(({ heard }) => heard.length === 2);
    expect(ear.heard).toEqual([undefined, undefined]);
    openSignal(owner, database).announce('acme');
    await ear.until(({ tenants }) => tenants.has('acme'));
  });

  test('hears nothing of another database of the same server', async () => {
    await using owner = new AsyncDisposableStack();
    const [here, there] = [
      owner.use(await openTestDatabase(inject('postgresUrl'))),
      owner.use(await openTestDatabase(inject('postgresUrl'))),
    ];
    const ear = new Ear(openSignal(owner, here));
    const foreignEar = new Ear(openSignal(owner, there));
    for (const each of [ear, foreignEar]) await each.until(({ heard }) => heard.length > 0);
    const [signal, foreign] = [openSignal(owner, here), openSignal(owner, there)];
    foreign.announce('theirs');
    await foreignEar.until(({ tenants }) => tenants.has('theirs'));
    signal.announce('ours');
    await ear.until(({ tenants }) => tenants.has('ours'));
    expect(ear.tenants).toEqual(new Set(['ours']));
  });
});
