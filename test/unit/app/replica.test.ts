import { describe, expect, test } from 'vitest';
import { replicaLimits } from '../../../src/app/limits.ts';
import { Replica } from '../../../src/app/replica.ts';
import { ReplicaWatchSource } from '../../../src/app/replica-watch-source.ts';
import { DomainError } from '../../../src/domain/domain-error.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import type { ConfigurationStore } from '../../../src/ports/configuration-store.ts';
import { createRoute, createTenant, exampleKey, exampleTenant } from '../../fakes/example-configuration.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { InMemoryChangeSignals } from '../../fakes/in-memory-change-signal.ts';
import { createInMemoryConfigurationStore } from '../../fakes/in-memory-configuration-store.ts';
import { Gate, TestReplica } from '../../fakes/test-replica.ts';

const newStore = () => createInMemoryConfigurationStore(() => Date.UTC(2026, 5, 1));
const routes = (service: string, count: number) =>
  Array.from({ length: count }, (_, index) => createRoute(exampleKey(`v${index}`, { service })));

/** What memory holds of the example tenant. */
function memoryOf({ replica }: TestReplica) {
  const held = replica.find(exampleTenant);
  if (held === undefined) return undefined;
  const count = [...held.state.all()].reduce((sum, group) => sum + group.routes.size, 0);
  return { routes: count, position: held.position, window: held.window, tenant: held.state.tenant };
}

/** A replica whose store can be exchanged behind its back, as by a failover or a restored backup. */
function behindSwitch(first: ConfigurationStore) {
  const state = { store: first, clock: new FakeClock({ skipsSleep: true }) };
  const switched = Object.fromEntries(
    Object.keys(first).map((method) => [
      method,
      (...parameters: never[]) =>
        (state.store[method as keyof ConfigurationStore] as (...all: never[]) => unknown)(...parameters),
    ]),
  ) as unknown as ConfigurationStore;
  return Object.assign(state, { replica: new TestReplica(switched, state.clock) });
}

describe("a tenant in a replica's memory", () => {
  test('catches up with a log of many pages', async () => {
    const store = newStore();
    const writer = new TestReplica(store);
    await writer.write([createTenant(exampleTenant, 'ACME')]);
    for (let service = 0; service < 30; service++) await writer.write(routes(`service-${service}`, 100));
    const reader = new TestReplica(store);
    await reader.replica.findStrong(exampleTenant);
    const position = { revision: 3_001, commitId: (await store.head(exampleTenant))?.position.commitId };
    expect(memoryOf(reader)).toMatchObject({
      routes: 3_000,
      position,
      tenant: { revision: 3_001, displayName: 'ACME' },
    });
  });

  test('takes a transaction that is larger than a page as a whole, and watches go on', async () => {
    const store = newStore();
    const [writer, reader] = [new TestReplica(store), new TestReplica(store)];
    await writer.write([createTenant(exampleTenant)]);
    await reader.replica.findStrong(exampleTenant);
    const before = memoryOf(reader);
    await writer.write(routes('large', 3 * replicaLimits.logPageChanges + 5));
    await writer.write(routes('small', 1));
    await reader.replica.findStrong(exampleTenant);
    const after = memoryOf(reader);
    expect(after?.position.revision).toBe(1 + 3_005 + 1);
    // Another window would end every watch with HISTORY_DIVERGED.
    expect(after?.window).toBe(before?.window);
    const [next] = after?.window.unitsAfter(1) ?? [];
    expect(next).toMatchObject({ after: 1, end: { revision: 3_006 } });
  });

  test('sees at least everything that was committed before it was asked to catch up', async () => {
    const store = newStore();
    const writer = new TestReplica(store);
    await writer.write([createTenant(exampleTenant)]);
    const gate = new Gate();
    let hold = false;
    const changesFrom: typeof store.changesFrom = async (...parameters) => {
      const page = await store.changesFrom(...parameters);
      if (hold) await gate.pass();
      hold = false;
      return page;
    };
    const reader = new TestReplica({ ...store, changesFrom });
    const held = await reader.replica.findStrong(exampleTenant);
    hold = true;
    const early = held?.catchUp();
    await gate.reached;
    // The read under way has begun before this commit; two callers want to see it.
    await writer.write(routes('late', 1));
    const late = [1, 2].map(async () => await held?.catchUp());
    gate.open();
    await early;
    await Promise.all(late);
    expect(memoryOf(reader)).toMatchObject({ position: { revision: 2 } });
  });

  test('applies no change twice, however often it is told', async () => {
    const store = newStore();
    const replica = new TestReplica(store);
    await replica.write([createTenant(exampleTenant)]);
    await replica.write(routes('a', 3));
    const held = replica.replica.find(exampleTenant);
    const log = await store.changesFrom(exampleTenant, 1, 10);
    let told = 0;
    using _subscription = held?.subscribe(() => (told += 1));
    held?.advance(log);
    held?.advance(log.slice(2));
    expect(told).toBe(0);
    expect(memoryOf(replica)).toMatchObject({ routes: 3, position: { revision: 4 } });
  });

  test('knows how old it may be', async () => {
    const store = newStore();
    const clock = new FakeClock();
    const replica = new TestReplica(store, clock);
    await replica.write([createTenant(exampleTenant)]);
    const held = replica.replica.find(exampleTenant);
    clock.advance(700);
    expect(held?.stalenessMs()).toBe(700);
    await replica.replica.findStrong(exampleTenant);
    expect(held?.stalenessMs()).toBe(0);
    clock.advance(5);
    await replica.write(routes('a', 1));
    expect(held?.stalenessMs()).toBe(0);
  });

  test('is not found before anything of it has arrived', async () => {
    const store = newStore();
    const replica = new TestReplica(store);
    // A dry run, or a wake-up from another replica, makes room for it.
    await replica.write([createTenant(exampleTenant)], { validateOnly: true });
    expect(replica.replica.find(exampleTenant)).toBeUndefined();
    await new TestReplica(store).write([createTenant(exampleTenant)]);
    expect(replica.replica.find(exampleTenant)).toBeUndefined();
    expect((await replica.replica.findStrong(exampleTenant))?.position.revision).toBe(1);
  });
});

describe('a replica whose database is another one all of a sudden', () => {
  async function history(...services: string[]): Promise<ConfigurationStore> {
    const store = newStore();
    const writer = new TestReplica(store);
    await writer.write([createTenant(exampleTenant)]);
    for (const service of services) await writer.write(routes(service, 1));
    return store;
  }

  test.for([
    ['shorter', ['x']],
    ['as long, but another', ['x', 'y', 'z']],
    ['longer, and another', ['x', 'y', 'z', 'z2']],
  ] as const)('takes the tenant anew when the history is %s', async ([, services]) => {
    const bench = behindSwitch(await history('a', 'b', 'c'));
    await bench.replica.replica.findStrong(exampleTenant);
    const before = memoryOf(bench.replica);
    bench.store = await history(...services);
    const strong = await bench.replica.replica.findStrong(exampleTenant);
    expect(strong?.position).toEqual((await bench.store.head(exampleTenant))?.position);
    expect(memoryOf(bench.replica)).toMatchObject({ routes: services.length });
    expect(strong?.state.find('a', 'production')).toBeUndefined();
    expect(memoryOf(bench.replica)?.window).not.toBe(before?.window);
    // And writes go on from there.
    const { revision } = await bench.replica.write(routes('next', 1));
    expect(revision).toBe(services.length + 2);
  });

  test('takes nothing anew when it was only late', async () => {
    const bench = behindSwitch(await history('a'));
    await bench.replica.replica.findStrong(exampleTenant);
    const before = memoryOf(bench.replica);
    await new TestReplica(bench.store).write(routes('b', 1));
    await bench.replica.replica.findStrong(exampleTenant);
    expect(memoryOf(bench.replica)?.window).toBe(before?.window);
  });
});

describe('a replica that follows the log', () => {
  async function following() {
    const store = newStore();
    const [clock, signals] = [new FakeClock(), new InMemoryChangeSignals()];
    let reachable = true;
    const heads = async () => {
      if (!reachable) throw new DomainError('DATABASE_UNAVAILABLE', 'out of reach');
      return await store.heads();
    };
    const logger = createLogger('control-plane', 'silent');
    const replica = new Replica({ store: { ...store, heads }, signal: signals.open(), clock, logger });
    const writer = new TestReplica(store);
    await writer.write([createTenant(exampleTenant)]);
    await replica.start();
    const moved = async (): Promise<void> => {
      const held = replica.find(exampleTenant);
      await new Promise<void>((resolve) => held?.subscribe(resolve));
    };
    return { store, clock, signals, replica, writer, moved, reach: (can: boolean) => (reachable = can) };
  }

  test('loads everything at its start', async () => {
    const { replica } = await following();
    await using _replica = replica;
    expect(replica.find(exampleTenant)?.position.revision).toBe(1);
  });

  test('is woken by a hint', async () => {
    const { replica, writer, signals, moved } = await following();
    await using _replica = replica;
    await writer.write(routes('a', 1));
    const woken = moved();
    signals.open().announce(exampleTenant);
    await woken;
    expect(replica.find(exampleTenant)?.position.revision).toBe(2);
  });

  test('finds out by itself when the hint is lost, within its poll interval', async () => {
    const { replica, writer, clock, moved } = await following();
    await using _replica = replica;
    await clock.untilSomebodySleeps();
    await writer.write(routes('a', 1));
    await writer.write([createTenant('globex')], { tenant: 'globex' });
    const found = moved();
    clock.advance(replicaLimits.pollIntervalMs);
    await found;
    await clock.untilSomebodySleeps();
    expect(replica.find(exampleTenant)?.position.revision).toBe(2);
    expect(replica.find('globex')?.position.revision).toBe(1);
  });

  test('says that it is cut off for as long as the database cannot be read', async () => {
    const { replica, clock, reach } = await following();
    await using _replica = replica;
    await clock.untilSomebodySleeps();
    expect(replica.isCutOff).toBe(false);
    for (const can of [false, true]) {
      reach(can);
      clock.advance(replicaLimits.pollIntervalMs);
      await clock.untilSomebodySleeps();
      expect(replica.isCutOff).toBe(!can);
    }
  });
});

describe('older changes, for watches', () => {
  test('come in whole transactions, from the log', async () => {
    const store = newStore();
    const writer = new TestReplica(store);
    await writer.write([createTenant(exampleTenant)]);
    await writer.write(routes('a', 4));
    await writer.write(routes('b', 1));
    const source = new ReplicaWatchSource(writer.replica, store);
    const revisions = async (from: number, limit: number) =>
      (await source.older(exampleTenant, from, limit)).map(({ revision }) => revision);
    expect(await revisions(1, 2)).toEqual([1, 2, 3, 4, 5]);
    expect(await revisions(3, 2)).toEqual([3, 4, 5]);
    expect(await revisions(2, 4)).toEqual([2, 3, 4, 5]);
    expect(await revisions(2, 5)).toEqual([2, 3, 4, 5, 6]);
    expect(await revisions(7, 5)).toEqual([]);
    expect(await revisions(3, 1)).toEqual([3]);
  });
});
