import { describe, expect, test } from 'vitest';
import { createRoute, createTenant, exampleKey, exampleTenant, moveRoute } from '../../fakes/example-configuration.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { InMemoryStreamServer } from '../../fakes/in-memory-change-stream.ts';
import { createInMemoryConfigurationStore } from '../../fakes/in-memory-configuration-store.ts';
import { InMemoryLeaseRow } from '../../fakes/in-memory-relay-lease.ts';
import { inMemoryStreamRecords, RelayStage } from '../../fakes/relay-stage.ts';
import { Gate } from '../../fakes/test-replica.ts';

function setUp() {
  const clock = new FakeClock();
  const server = new InMemoryStreamServer();
  const store = createInMemoryConfigurationStore(() => clock.wallMs());
  const row = new InMemoryLeaseRow(1_200, () => clock.monotonicMs());
  const shared = { store, server, row, records: inMemoryStreamRecords(), clock };
  const open = (name: string): RelayStage => new RelayStage({ name, ...shared });
  return { clock, server, open };
}

/** A replica that leads, and has published a tenant with one route. */
async function publishing(owner: AsyncDisposableStack) {
  const { clock, server, open } = setUp();
  const stage = owner.use(open('one'));
  await stage.write(createTenant(exampleTenant));
  await stage.write(createRoute(exampleKey('v1')));
  stage.relay.start();
  await stage.untilPublished();
  return { clock, server, open, stage };
}

describe('the relay', () => {
  test('tells changes as they commit, one after the other without a gap, and stores them closed by a meta', async () => {
    await using owner = new AsyncDisposableStack();
    const { server, stage } = await publishing(owner);
    for (const version of ['v2', 'v3', 'v4']) {
      await stage.write(createRoute(exampleKey(version)));
      await stage.untilPublished();
    }
    const told = stage.stream.updates.map(({ update }) => update).filter(({ changes }) => changes.length > 0);
    expect(told.map(({ after, position }) => [after, position.revision])).toEqual([
      [2, 3],
      [3, 4],
      [4, 5],
    ]);
    expect(told.map(({ digest }) => digest).at(-1)).toBe(server.find(exampleTenant)?.meta?.digest);
    expect(server.batches.slice(-3).map(({ batch }) => [batch.changes.length, batch.meta?.position.revision])).toEqual([
      [1, 3],
      [1, 4],
      [1, 5],
    ]);
    expect(server.find(exampleTenant)?.meta?.subjectCount).toBe(4);
  });

  test('stores only the newest of each resource of what commits while a batch is under way', async () => {
    await using owner = new AsyncDisposableStack();
    const { server, stage } = await publishing(owner);
    const gate = new Gate();
    stage.stream.beforeAppend = async () => await gate.pass();
    await stage.write(moveRoute(exampleKey('v1'), 'grpc://first'));
    await gate.reached;
    for (let write = 0; write < 50; write++) await stage.write(moveRoute(exampleKey('v1'), `grpc://host-${write}`));
    await stage.write(createRoute(exampleKey('v2')));
    gate.open();
    await stage.untilPublished();
    const [first, second] = server.batches.slice(-2);
    expect(first?.batch.changes.map(({ revision }) => revision)).toEqual([3]);
    expect(second?.batch.changes.map(({ revision }) => revision)).toEqual([53, 54]);
    expect(second?.batch.meta?.position.revision).toBe(54);
  });

  test.each([0, 1, 2, 3, 4])(
    'goes on from what the stream has when the outcome of a batch is lost after %i messages',
    async (stored) => {
      await using owner = new AsyncDisposableStack();
      const { server, stage } = await publishing(owner);
      const epoch = server.find(exampleTenant)?.meta?.epoch;
      stage.stream.loseOutcomeAfter = stored;
      await stage.write(...['v2', 'v3', 'v4'].map((version) => createRoute(exampleKey(version))));
      await stage.untilPublished();
      expect(server.find(exampleTenant)?.meta?.epoch).toBe(epoch);
    },
  );

  test('that was paused with a batch in its hand cannot store it when another one has gone on', async () => {
    await using owner = new AsyncDisposableStack();
    const { clock, server, open, stage: paused } = await publishing(owner);
    const gate = new Gate();
    paused.stream.beforeAppend = async () => await gate.pass();
    await paused.write(moveRoute(exampleKey('v1'), 'grpc://older'));
    await gate.reached;
    paused.lease.answers = false;
    const next = owner.use(open('two'));
    await next.replica.replica.findStrong(exampleTenant);
    next.relay.start();
    await next.until(() => next.leadership.term === 2);
    expect(paused.leadership.term).toBeUndefined();
    await next.write(moveRoute(exampleKey('v1'), 'grpc://newer'));
    await next.untilPublished();
    const before = server.find(exampleTenant)?.sequence;
    gate.open();
    clock.advance(1_000);
    await next.untilPublished();
    paused.lease.answers = true;
    await next.until(() => paused.leadership.leader?.holder === 'two');
    expect(server.find(exampleTenant)?.sequence).toBe(before);
    expect(next.difference()).toBeUndefined();
  });

  test('that does not lead stores nothing, tells nothing and answers nobody', async () => {
    await using owner = new AsyncDisposableStack();
    const { server, open, stage } = await publishing(owner);
    const follower = owner.use(open('two'));
    await follower.replica.replica.findStrong(exampleTenant);
    follower.relay.start();
    await follower.write(moveRoute(exampleKey('v1'), 'grpc://by-the-follower'));
    await stage.replica.replica.findStrong(exampleTenant);
    await stage.untilPublished();
    expect(follower.stream.updates).toEqual([]);
    const answers = server.ask(exampleTenant);
    expect(answers).toHaveLength(1);
    expect(answers[0]?.position).toMatchObject({ after: 3, position: { revision: 3 }, term: 1, changes: [] });
  });

  test('answers that a tenant is not there only when the database says so', async () => {
    await using owner = new AsyncDisposableStack();
    const { server, stage } = await publishing(owner);
    const answers = server.ask('nobody');
    await stage.until(() => answers.length > 0);
    expect(answers).toEqual([{ position: undefined, stalenessMs: 0 }]);
  });

  test('says where an idle tenant is every two seconds', async () => {
    await using owner = new AsyncDisposableStack();
    const { clock, stage } = await publishing(owner);
    const from = stage.stream.updates.length;
    const startedAtMs = clock.monotonicMs();
    await stage.until(() => stage.stream.updates.length >= from + 5, 60_000);
    expect(clock.monotonicMs() - startedAtMs).toBeGreaterThan(7_500);
    expect(clock.monotonicMs() - startedAtMs).toBeLessThan(11_000);
  });

  test('continues in a later term than any that the stream has seen', async () => {
    await using owner = new AsyncDisposableStack();
    const { server, stage } = await publishing(owner);
    const kept = server.find(exampleTenant);
    if (kept?.meta === undefined) throw new Error('it was published');
    // The database was put back to when it had fewer terms; the stream is looked at when the connection is made again.
    kept.meta = { ...kept.meta, term: 41 };
    stage.stream.setConnected(false);
    stage.stream.setConnected(true);
    await stage.until(() => stage.leadership.term === 42);
    await stage.write(moveRoute(exampleKey('v1'), 'grpc://later'));
    await stage.untilPublished();
    expect(server.find(exampleTenant)?.meta?.term).toBe(42);
  });
});

describe('leadership', () => {
  test('ends by its own clock when the database does not answer, before another one can begin', async () => {
    await using owner = new AsyncDisposableStack();
    const { clock, stage } = await publishing(owner);
    const heldAtMs = clock.monotonicMs();
    stage.lease.answers = false;
    await stage.until(() => stage.leadership.term === undefined);
    expect(clock.monotonicMs() - heldAtMs).toBeLessThan(1_200);
  });

  test('is given up at the end, so that another one need not wait', async () => {
    await using owner = new AsyncDisposableStack();
    const { clock, open, stage } = await publishing(owner);
    const next = owner.use(open('two'));
    await next.replica.replica.findStrong(exampleTenant);
    next.relay.start();
    await stage[Symbol.asyncDispose]();
    const gaveUpAtMs = clock.monotonicMs();
    await next.until(() => next.leadership.term === 2);
    expect(clock.monotonicMs() - gaveUpAtMs).toBeLessThanOrEqual(320);
  });
});
