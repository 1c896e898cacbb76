import { describe, expect, it } from 'vitest';
import { FakeWatchStream } from '../../fakes/fake-watch-stream.ts';
import { WatchStage } from '../../fakes/watch-stage.ts';
import { kindsOf, lastOf, numbers, revisionsIn, route, routes } from './watch-examples.ts';

describe('ordered', () => {
  it('changes come in the order of their revisions, whatever is committed while they are sent', async () => {
    const stage = new WatchStage();
    const watch = stage.watch({ afterRevision: 0n });
    await stage.settle();
    for (let index = 0; index < 50; index++) {
      stage.tenant.commit(route('v1'), route('v2'));
      // Sometimes several commits fall into one turn.
      if (index % 3 === 0) stage.turn();
    }
    await stage.settle();
    expect(revisionsIn(watch.stream.received)).toEqual(numbers(1, 100));
    const revisions = watch.stream.received.map(({ revision }) => Number(revision));
    expect(revisions).toEqual(revisions.toSorted((left, right) => left - right));
  });

  it('a snapshot comes first, and the changes after it', async () => {
    const stage = new WatchStage();
    stage.tenant.commit(route('v1'), route('v2'));
    stage.tenant.commit(route('v2', { gone: true }));
    const watch = stage.watch({}, new FakeWatchStream());
    await stage.settle();
    stage.tenant.commit(route('v3'));
    await stage.settle();
    expect(kindsOf(watch.stream.received)).toEqual(['snapshotChunk', 'snapshotChunk', 'changeBatch']);
    const [chunk, end] = watch.stream.received;
    expect(chunk).toMatchObject({ revision: 3n, event: { value: { last: false } } });
    expect(chunk?.event?.$case === 'snapshotChunk' && chunk.event.value.routes.map(({ key }) => key?.version)).toEqual([
      'v1',
    ]);
    expect(end).toMatchObject({ revision: 3n, commitId: 'commit-2', event: { value: { routes: [], last: true } } });
    expect(revisionsIn(watch.stream.received)).toEqual([4]);
  });

  it('a tenant without routes has an empty snapshot', async () => {
    const stage = new WatchStage();
    stage.tenant.commit(route('v1'));
    stage.tenant.commit(route('v1', { gone: true }));
    const watch = stage.watch();
    await stage.settle();
    expect(watch.stream.received).toMatchObject([{ revision: 2n, event: { value: { routes: [], last: true } } }]);
  });
});

describe('unique and resumable', () => {
  it('resuming after any message repeats nothing and leaves nothing out', async () => {
    const stage = new WatchStage();
    const first = stage.watch({ afterRevision: 0n });
    for (let index = 0; index < 20; index++) {
      stage.tenant.commit(...routes((index % 4) + 1));
      await stage.settle();
    }
    expect(revisionsIn(first.stream.received)).toEqual(numbers(1, 50));
    for (const { revision, commitId } of first.stream.received) {
      const resumed = stage.watch({ afterRevision: revision, afterCommitId: commitId });
      await stage.settle();
      expect(revisionsIn(resumed.stream.received)).toEqual(numbers(Number(revision) + 1, 50));
      resumed.cancel();
    }
  });

  it('a revision inside a transaction resumes with the rest of it', async () => {
    const stage = new WatchStage();
    stage.tenant.commit(...routes(5));
    const watch = stage.watch({ afterRevision: 2n });
    await stage.settle();
    expect(revisionsIn(watch.stream.received)).toEqual([3, 4, 5]);
    expect(lastOf(watch).revision).toBe(5n);
  });
});

describe('reliable', () => {
  it('nothing is lost when a watcher is starved: every change comes, however late it is read', async () => {
    const stage = new WatchStage();
    const watch = stage.watch({ afterRevision: 0n, everyChange: true }, new FakeWatchStream({ reading: false }));
    await stage.settle();
    for (let index = 0; index < 500; index++) {
      stage.tenant.commit(route(`v${index % 7}`, { large: index % 5 === 0 }));
      stage.turn();
      if (index % 10 === 0) watch.stream.read(1);
    }
    while (watch.stream.waitingBytes > 0) {
      watch.stream.read(1);
      await stage.settle();
    }
    expect(revisionsIn(watch.stream.received)).toEqual(numbers(1, 500));
  });

  it('nobody waits for the watchers before it: those that nobody starves have everything', async () => {
    const stage = new WatchStage();
    const stuck = Array.from({ length: 50 }, () =>
      stage.watch({ afterRevision: 0n }, new FakeWatchStream({ reading: false })),
    );
    const reader = stage.watch({ afterRevision: 0n });
    for (let index = 0; index < 100; index++) {
      stage.tenant.commit(route('v1', { large: true }));
      await stage.settle();
      expect(Number(lastOf(reader).revision)).toBe(index + 1);
    }
    for (const { stream } of stuck) expect(stream.waitingBytesMax).toBeLessThan(2 * 64 * 1024 + 10_000);
  });
});

describe('atomic', () => {
  it('a transaction that is too large for a message moves the resume point only with its last part', async () => {
    const stage = new WatchStage();
    stage.tenant.commit(route('before'));
    const watch = stage.watch({ afterRevision: 0n });
    await stage.settle();
    stage.tenant.commit(...routes(100, { large: true }));
    await stage.settle();
    const parts = watch.stream.received.slice(1);
    expect(parts.length).toBeGreaterThan(3);
    for (const part of parts.slice(0, -1))
      expect(part).toMatchObject({ revision: 1n, commitId: 'commit-1', event: { value: { continued: true } } });
    expect(parts.at(-1)).toMatchObject({
      revision: 101n,
      commitId: 'commit-2',
      event: { value: { continued: false } },
    });
    expect(revisionsIn(parts)).toEqual(numbers(2, 101));
  });

  it('a stream that broke inside a transaction resumes with the whole of it', async () => {
    const stage = new WatchStage();
    stage.tenant.commit(route('before'));
    stage.tenant.commit(...routes(60, { large: true }));
    const watch = stage.watch({ afterRevision: 1n }, new FakeWatchStream({ reading: false }));
    await stage.settle();
    watch.stream.read(1);
    const { revision, commitId } = lastOf(watch);
    watch.cancel();
    const resumed = stage.watch({ afterRevision: revision, afterCommitId: commitId });
    await stage.settle();
    expect(revisionsIn(resumed.stream.received)).toEqual(numbers(2, 61));
  });

  it('small transactions share a message, and none is split between two', async () => {
    const stage = new WatchStage();
    for (let index = 0; index < 40; index++) stage.tenant.commit(...routes(3, { large: index % 2 === 0 }));
    const watch = stage.watch({ afterRevision: 0n });
    await stage.settle();
    expect(revisionsIn(watch.stream.received)).toEqual(numbers(1, 120));
    expect(watch.stream.received.length).toBeLessThan(20);
    for (const { revision } of watch.stream.received) expect(Number(revision) % 3).toBe(0);
  });

  it('a large transaction of which nothing is wanted sends nothing', async () => {
    const stage = new WatchStage();
    const watch = stage.watch({ afterRevision: 0n, services: ['search'] });
    stage.tenant.commit(...routes(3_000));
    stage.tenant.commit(route('v1', { service: 'search' }));
    await stage.settle();
    expect(revisionsIn(watch.stream.received)).toEqual([3_001]);
  });

  it('the last part comes even when nothing of it is wanted', async () => {
    const stage = new WatchStage();
    const watch = stage.watch({ afterRevision: 0n, services: ['cart'] });
    stage.tenant.commit(...routes(40, { large: true }), ...routes(2_000, { service: 'search' }));
    await stage.settle();
    expect(watch.stream.received.at(-1)).toMatchObject({
      revision: 2_040n,
      event: { value: { changes: [], continued: false } },
    });
    expect(revisionsIn(watch.stream.received)).toEqual(numbers(1, 40));
  });
});

describe('bookmarkable', () => {
  it('says that there is nothing new when it has been silent for the progress interval', async () => {
    const stage = new WatchStage();
    stage.tenant.commit(route('v1'));
    const watch = stage.watch({ afterRevision: 1n, progressInterval: { seconds: 2n, nanos: 0 } });
    await stage.settle();
    await stage.pass(1_900, 38);
    expect(watch.stream.received).toEqual([]);
    await stage.pass(100, 2);
    expect(kindsOf(watch.stream.received)).toEqual(['progress']);
    expect(lastOf(watch)).toMatchObject({ revision: 1n, commitId: 'commit-1' });
    await stage.pass(8_000, 160);
    expect(watch.stream.received.length).toBe(5);
  });

  it('is silent for no longer than asked, also at the shortest interval', async () => {
    const stage = new WatchStage();
    const watch = stage.watch({ afterRevision: 0n, progressInterval: { seconds: 0n, nanos: 100e6 } });
    await stage.pass(10_000, 1_000);
    expect(watch.stream.received.length).toBeGreaterThanOrEqual(99);
    expect(watch.stream.received.length).toBeLessThanOrEqual(200);
  });

  it('moves a watcher on past what it does not want, even while there is more of it all the time', async () => {
    const stage = new WatchStage();
    const watch = stage.watch({ afterRevision: 0n, services: ['search'], progressInterval: { seconds: 1n, nanos: 0 } });
    for (let index = 1; index <= 100; index++) {
      stage.tenant.commit(route('v1'));
      await stage.pass(50, 1);
    }
    const told = watch.stream.received.map(({ revision }) => Number(revision));
    expect(told.length).toBeGreaterThanOrEqual(4);
    expect(told).toEqual(told.toSorted((left, right) => left - right));
    expect(told.at(-1)).toBeGreaterThan(75);
  });

  it('comes while a watcher is on its way through much that it does not want, in memory and in the log', async () => {
    const stage = new WatchStage({ bounds: { changesMax: 40_000, bytesMax: 1e9 } });
    const progressInterval = { seconds: 1n, nanos: 0 };
    const live = stage.watch({ afterRevision: 0n, services: ['search'], progressInterval, everyChange: true });
    await stage.settle();
    for (let index = 0; index < 20_000; index++) stage.tenant.commit(route('v1'));
    stage.clock.advance(1_000);
    // More than one turn has for it.
    stage.turn();
    expect(kindsOf(live.stream.received)).toEqual(['progress']);
    expect(live.stream.received[0]).toMatchObject({ revision: 16_000n, stalenessMs: undefined });

    const behind = new WatchStage({ bounds: { changesMax: 10, bytesMax: 1e9 } });
    for (let index = 0; index < 5_000; index++) behind.tenant.commit(route('v1'));
    const resumed = behind.watch({ afterRevision: 1n, services: ['search'], progressInterval });
    const older = behind.tenant.older.bind(behind.tenant);
    behind.tenant.older = (from, limit) => {
      behind.clock.advance(500);
      return older(from, limit);
    };
    await behind.settle();
    const told = resumed.stream.received.map(({ revision }) => Number(revision));
    expect(told).toEqual([1_500, 2_500, 3_500, 4_500]);
  });

  it('comes in time again after a transport was full', async () => {
    const stage = new WatchStage();
    const watch = stage.watch({ afterRevision: 0n }, new FakeWatchStream({ reading: false }));
    stage.tenant.commit(...routes(40, { large: true }));
    await stage.pass(20_000);
    watch.stream.reading = true;
    watch.stream.read();
    await stage.settle();
    const before = watch.stream.received.length;
    await stage.pass(5_000);
    expect(kindsOf(watch.stream.received.slice(before))).toEqual(['progress']);
  });
});

describe('staleness', () => {
  it('is how old the memory was when the message was sent, and absent when newer changes are known', async () => {
    const stage = new WatchStage();
    stage.tenant.commit(...routes(30, { large: true }));
    stage.clock.advance(700);
    const resumed = stage.watch({ afterRevision: 0n });
    const joined = stage.watch();
    await stage.settle();
    const staleness = (watch: typeof resumed) => watch.stream.received.map(({ stalenessMs }) => stalenessMs);
    expect(staleness(resumed)).toEqual([undefined, 700n]);
    expect(staleness(joined)).toEqual([undefined, undefined, 700n]);
    await stage.pass(5_000, 10);
    expect(lastOf(resumed).stalenessMs).toBe(5_700n);
  });

  it('of a snapshot that was outrun while it was sent counts from when it was taken', async () => {
    const stage = new WatchStage();
    stage.tenant.commit(...routes(30, { large: true }));
    const watch = stage.watch({}, new FakeWatchStream({ reading: false }));
    await stage.settle();
    stage.clock.advance(300);
    stage.tenant.commit(route('v1'));
    while (watch.stream.waitingBytes > 0) {
      watch.stream.read();
      await stage.settle();
    }
    expect(watch.stream.received.map(({ event, stalenessMs }) => [event?.$case, stalenessMs])).toEqual([
      ['snapshotChunk', undefined],
      ['snapshotChunk', undefined],
      ['snapshotChunk', 300n],
      ['changeBatch', 0n],
    ]);
  });
});
