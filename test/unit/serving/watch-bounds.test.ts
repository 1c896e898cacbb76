import { describe, expect, it } from 'vitest';
import { FakeWatchStream } from '../../fakes/fake-watch-stream.ts';
import { WatchClientModel } from '../../fakes/watch-client-model.ts';
import { WatchStage } from '../../fakes/watch-stage.ts';
import { errorOf, kindsOf, lastOf, numbers, revisionsIn, route, routes, stalled } from './watch-examples.ts';

const bounds = { changesMax: 100, bytesMax: 4 * 1024 * 1024 };

describe('a slow watcher', () => {
  it('gets what waits for it as one range, with the newest change of each resource', async () => {
    const stage = new WatchStage({ bounds });
    stage.tenant.commit(route('v1'));
    const watch = await stalled(stage);
    // Fills the transport; what follows has to wait.
    stage.tenant.commit(...routes(30, { large: true }));
    await stage.settle();
    for (let index = 0; index < 20; index++) stage.tenant.commit(route('v1'), route(`v${index % 2}`));
    stage.tenant.commit(route('v0', { gone: true }));
    await stage.settle();
    watch.stream.reading = true;
    watch.stream.read();
    await stage.settle();
    const range = lastOf(watch);
    expect(range).toMatchObject({ revision: 72n, event: { value: { continued: false, coalescedAfter: 31n } } });
    expect(revisionsIn([range])).toEqual([71, 72]);
    const model = new WatchClientModel({
      log: stage.tenant.log,
      after: { revision: 1, commitId: 'commit-1' },
      revisionMin: 0,
      services: [],
      everyChange: false,
    });
    for (const message of watch.stream.received) model.take(message);
    expect(model.position).toEqual(stage.tenant.position);
  });

  it('that is only a little behind gets every change', async () => {
    const stage = new WatchStage({ bounds });
    stage.tenant.commit(route('v1'));
    const watch = await stalled(stage);
    stage.tenant.commit(...routes(30, { large: true }));
    await stage.settle();
    for (let index = 0; index < 10; index++) stage.tenant.commit(route('v1'));
    await stage.settle();
    watch.stream.reading = true;
    watch.stream.read();
    await stage.settle();
    expect(revisionsIn(watch.stream.received)).toEqual(numbers(2, 41));
  });

  it('that asked for every change gets every change', async () => {
    const stage = new WatchStage({ bounds });
    stage.tenant.commit(route('v1'));
    const watch = await stalled(stage, { everyChange: true });
    stage.tenant.commit(...routes(30, { large: true }));
    await stage.settle();
    for (let index = 0; index < 50; index++) stage.tenant.commit(route('v1'));
    await stage.settle();
    watch.stream.reading = true;
    watch.stream.read();
    await stage.settle();
    expect(revisionsIn(watch.stream.received)).toEqual(numbers(2, 81));
  });

  it('gets no history coalesced: what was committed before it came is sent change by change', async () => {
    const stage = new WatchStage({ bounds });
    for (let index = 0; index < 60; index++) stage.tenant.commit(route('v1', { large: true }));
    const watch = stage.watch({ afterRevision: 0n }, new FakeWatchStream({ reading: false }));
    await stage.settle();
    while (watch.stream.waitingBytes > 0) {
      watch.stream.read(1);
      await stage.settle();
    }
    expect(revisionsIn(watch.stream.received)).toEqual(numbers(1, 60));
  });

  it('gets one large transaction as it is, in parts', async () => {
    const stage = new WatchStage({ bounds });
    stage.tenant.commit(route('v1'));
    const watch = await stalled(stage);
    watch.stream.reading = true;
    stage.tenant.commit(...routes(60), ...routes(60));
    await stage.settle();
    expect(revisionsIn(watch.stream.received)).toEqual(numbers(2, 121));
  });

  it('gets a coalesced range that is too large for a message in parts, which move its resume point together', async () => {
    const stage = new WatchStage({ bounds });
    stage.tenant.commit(route('v1'));
    const watch = await stalled(stage);
    stage.tenant.commit(...routes(30, { large: true }));
    await stage.settle();
    for (let index = 0; index < 40; index++) stage.tenant.commit(route(`v${index}`, { large: true }));
    await stage.settle();
    const before = watch.stream.received.length;
    watch.stream.reading = true;
    watch.stream.read();
    await stage.settle();
    const parts = watch.stream.received
      .slice(before)
      .filter(({ event }) => event?.$case === 'changeBatch' && event.value.coalescedAfter === 31n);
    expect(parts.length).toBeGreaterThan(1);
    expect(parts.map(({ revision }) => revision)).toEqual([...parts.slice(1).map(() => 31n), 71n]);
  });
});

describe('a watcher that stops reading', () => {
  it('is cut off after the stall time, with the point to resume at, and leaves nothing behind', async () => {
    const stage = new WatchStage({ stallMsMax: 30_000 });
    stage.tenant.commit(route('v1'));
    const watch = await stalled(stage);
    for (const write of routes(20, { large: true })) stage.tenant.commit(write);
    stage.tenant.commit(route('v1'));
    await stage.settle();
    await stage.pass(29_000);
    expect(watch.outcome()).toBeUndefined();
    await stage.pass(1_500);
    const error = errorOf(watch);
    expect(error.reason).toBe('WATCHER_TOO_SLOW');
    // What waits in its transport still goes out before the status does.
    watch.stream.read();
    expect(error.metadata).toEqual({
      tenant: 'acme',
      revision: String(lastOf(watch).revision),
      commit_id: lastOf(watch).commitId,
    });
    expect(stage.tenant.listeners).toBe(0);
    const resumed = stage.watch({ afterRevision: lastOf(watch).revision, afterCommitId: lastOf(watch).commitId });
    await stage.settle();
    expect(revisionsIn([...watch.stream.received, ...resumed.stream.received])).toEqual(numbers(2, 22));
  });

  it('is cut off in time also when it asked for a long silence', async () => {
    const stage = new WatchStage({ stallMsMax: 30_000 });
    const watch = await stalled(stage, { progressInterval: { seconds: 600n, nanos: 0 } });
    stage.tenant.commit(...routes(20, { large: true }));
    await stage.settle();
    await stage.pass(30_500, 61);
    expect(errorOf(watch).reason).toBe('WATCHER_TOO_SLOW');
  });

  it('is not cut off while nothing waits for it', async () => {
    const stage = new WatchStage({ stallMsMax: 1_000 });
    stage.tenant.commit(route('v1'));
    const watch = await stalled(stage, { progressInterval: { seconds: 1n, nanos: 0 } });
    await stage.pass(600_000, 1_200);
    expect(watch.outcome()).toBeUndefined();
  });

  it('is cut off when it falls behind what is kept, however short the time', async () => {
    const stage = new WatchStage({ bounds });
    stage.tenant.commit(route('v1'));
    const watch = await stalled(stage);
    stage.tenant.commit(...routes(30, { large: true }));
    await stage.settle();
    for (let index = 0; index < 150; index++) stage.tenant.commit(route('v1'));
    await stage.settle();
    watch.stream.read(1);
    expect(watch.outcome()).toBeUndefined();
    watch.stream.read();
    await stage.settle();
    expect(errorOf(watch)).toMatchObject({
      reason: 'WATCHER_TOO_SLOW',
      metadata: { revision: '1', commit_id: 'commit-1' },
    });
  });

  it('has no point to resume at before its snapshot is complete', async () => {
    const stage = new WatchStage();
    stage.tenant.commit(...routes(40, { large: true }));
    const watch = stage.watch({}, new FakeWatchStream({ reading: false }));
    await stage.settle();
    await stage.pass(31_000);
    const { reason, metadata } = errorOf(watch);
    expect([reason, metadata]).toEqual(['WATCHER_TOO_SLOW', { tenant: 'acme' }]);
  });

  it('costs no more than its transport holds, whatever is committed', async () => {
    const stage = new WatchStage();
    stage.tenant.commit(route('v1'));
    const watch = await stalled(stage);
    for (let index = 0; index < 2_000; index++) stage.tenant.commit(route('v1', { large: true }));
    await stage.settle();
    expect(watch.stream.waitingBytesMax).toBeLessThan(2 * 64 * 1024 + 10_000);
  });
});

describe('a watcher that the server is slow for', () => {
  it('is not cut off, though it was slow before: it reads the log', async () => {
    const stage = new WatchStage({ bounds });
    const watch = await stalled(stage, { everyChange: true });
    stage.tenant.commit(route('v1', { large: true }));
    for (let index = 0; index < 20; index++) {
      await stage.settle();
      stage.tenant.commit(route('v1', { large: true }));
    }
    watch.stream.reading = true;
    watch.stream.read();
    await stage.settle();
    expect(lastOf(watch).revision).toBe(21n);
    // No turn of the event loop in between.
    for (let index = 0; index < 300; index++) stage.tenant.commit(route('v1'));
    await stage.settle();
    expect(revisionsIn(watch.stream.received)).toEqual(numbers(1, 321));
    expect(stage.logReads).toBe(1);
  });
});

describe('what watchers cost together', () => {
  it('a message is made once for all that are at the same place', async () => {
    const stage = new WatchStage();
    const watches = Array.from({ length: 100 }, () => stage.watch({ afterRevision: 0n }));
    await stage.settle();
    stage.tenant.commit(route('v1'));
    stage.tenant.commit(route('v2'));
    await stage.settle();
    expect(new Set(watches.flatMap(({ stream }) => stream.buffers)).size).toBe(1);
  });

  it('a snapshot is encoded once, also when it changes while they join: only what changed is made again', async () => {
    const stage = new WatchStage();
    // 300 groups in 3 pieces.
    for (let index = 0; index < 300; index++) stage.tenant.commit(route('v1', { service: `service-${index}` }));
    const watches = [];
    for (let index = 0; index < 50; index++) {
      watches.push(stage.watch());
      await stage.settle();
      stage.tenant.commit(route(`v${index}`, { service: 'service-299' }));
    }
    const chunks = watches.flatMap(({ stream }) =>
      stream.buffers.filter((_, index) => stream.received.length > 0 && index % 2 === 1 && index < 6),
    );
    expect(chunks.length).toBe(150);
    // Two pieces that stayed as they were, and 50 versions of the one that changed.
    expect(new Set(chunks).size).toBe(52);
  });

  it('a slice of work ends when it has taken its time, and goes on in the next turn with the next watcher', async () => {
    const stage = new WatchStage();
    const watches = Array.from({ length: 10 }, () => stage.watch({ afterRevision: 0n }));
    await stage.settle();
    // Each write takes a millisecond, of the two that a slice has.
    for (const { stream } of watches) stream.onSend = () => stage.clock.advance(1);
    stage.tenant.commit(route('v1'));
    const served: number[] = [];
    for (let turn = 0; turn < 6; turn++) {
      stage.turn();
      served.push(watches.filter(({ stream }) => stream.received.length === 1).length);
    }
    expect(served).toEqual([2, 4, 6, 8, 10, 10]);
  });

  it('watchers that resume further back than memory reaches read each stretch of the log once', async () => {
    const stage = new WatchStage({ bounds });
    for (let index = 0; index < 1_700; index++) stage.tenant.commit(route(`v${index % 5}`));
    const watches = Array.from({ length: 60 }, (_, index) => stage.watch({ afterRevision: BigInt(index * 20) }));
    await stage.settle();
    for (const [index, { stream }] of watches.entries())
      expect(revisionsIn(stream.received)).toEqual(numbers(index * 20 + 1, 1_700));
    // 4 pages of 500.
    expect(stage.logReads).toBe(4);
  });
});

describe('how many watchers there may be', () => {
  it('is bounded by the tenant, and a place becomes free when a watch ends', async () => {
    const stage = new WatchStage({ watchersMaxOf: () => 2 });
    const first = stage.watch();
    stage.watch();
    await stage.settle();
    const third = stage.watch();
    await stage.settle();
    expect(errorOf(third)).toMatchObject({
      reason: 'WATCHER_LIMIT',
      retryDelayMs: 5_000,
      metadata: { limited: 'tenant acme', watchers_max: '2' },
    });
    first.cancel();
    await stage.settle();
    const fourth = stage.watch();
    await stage.settle();
    expect(fourth.outcome()).toBeUndefined();
  });

  it('is bounded by the process', async () => {
    const stage = new WatchStage({ watchersMax: 1 });
    stage.watch();
    await stage.settle();
    const second = stage.watch();
    await stage.settle();
    expect(errorOf(second)).toMatchObject({
      reason: 'WATCHER_LIMIT',
      metadata: { limited: 'this server', watchers_max: '1' },
    });
  });

  it('counts those that were refused, or never found their tenant, no longer', async () => {
    const stage = new WatchStage({ watchersMax: 1 });
    for (let index = 0; index < 3; index++) {
      const stranger = stage.watch({ tenant: 'stranger' });
      await stage.settle();
      expect(errorOf(stranger).reason).toBe('TENANT_NOT_FOUND');
      const future = stage.watch({ afterRevision: 5n });
      await stage.settle();
      expect(errorOf(future).reason).toBe('REVISION_IN_FUTURE');
    }
  });
});

describe('the end of a watch', () => {
  it('comes when the server shuts down, for those that read and those that do not', async () => {
    const stage = new WatchStage();
    stage.tenant.commit(route('v1'));
    const reading = stage.watch();
    const stuck = await stalled(stage);
    stage.tenant.commit(...routes(40, { large: true }));
    await stage.settle();
    stage.drain();
    await stage.settle();
    expect([errorOf(reading).reason, errorOf(stuck).reason]).toEqual(['SHUTTING_DOWN', 'SHUTTING_DOWN']);
    const late = stage.watch();
    await stage.settle();
    expect(errorOf(late).reason).toBe('SHUTTING_DOWN');
  });

  it('frees its place when the client goes away, also before it was served', async () => {
    const stage = new WatchStage({ watchersMax: 1 });
    for (let index = 0; index < 5; index++) {
      const watch = stage.watch();
      watch.cancel();
      await stage.settle();
      expect(watch.outcome()).toBe('cancelled');
      expect(kindsOf(watch.stream.received)).toEqual([]);
    }
    expect(stage.tenant.listeners).toBe(0);
  });
});
