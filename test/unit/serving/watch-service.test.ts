import { describe, expect, test } from 'vitest';
import { DomainError } from '../../../src/domain/domain-error.ts';
import { WatchResponse } from '../../../src/gen/trafficmanager/v1/watch_service.ts';
import { nextTurn, WatchStage } from '../../fakes/watch-stage.ts';
import {
  commit,
  largeUrl,
  messages,
  newStage,
  outlines,
  revisionsIn,
  route,
  times,
  upTo,
  withCommits,
} from './watch-telling.ts';

/** The largest size that clients commonly take. */
const clientBytesMax = 4 * 1024 * 1024;

describe('a watch without a resume point', () => {
  test('begins with a snapshot of one moment, and goes on with what was committed while it was sent', async () => {
    const stage = withCommits(1, 1, 1);
    const watch = stage.watch();
    // It has its place by now, and nothing was sent.
    await nextTurn();
    commit(stage, [2]);
    expect(await outlines(stage, watch)).toEqual([
      '3 commit-3: 3 routes',
      '3 commit-3: 0 routes, last',
      '5 commit-4: changes 4 5',
    ]);
  });

  test('leaves deleted routes out of the snapshot, and ends it also when nothing is left', async () => {
    const stage = withCommits(1);
    stage.tenant.commit(route('v1', { url: undefined }));
    expect(await outlines(stage, stage.watch())).toEqual(['2 commit-2: 0 routes, last']);
    commit(stage, [1]);
    expect(await outlines(stage, stage.watch())).toEqual(['3 commit-3: 1 routes', '3 commit-3: 0 routes, last']);
  });

  test('gets a large snapshot in chunks that clients can take, and only the last is marked', async () => {
    const stage = new WatchStage();
    commit(stage, times(40, 1), { url: largeUrl });
    const received = await messages(stage, stage.watch());
    const chunks = received.map(({ revision, commitId, event }) => {
      expect([revision, commitId]).toEqual([40n, 'commit-40']);
      if (event?.$case !== 'snapshotChunk') throw new Error('a snapshot');
      return event.value;
    });
    for (const message of received) expect(WatchResponse.encode(message).finish().length).toBeLessThan(clientBytesMax);
    expect(chunks.length).toBeGreaterThan(5);
    expect(chunks.map(({ last }) => last)).toEqual([...times(chunks.length - 1, 0).map(() => false), true]);
    const versions = chunks.flatMap(({ routes }) => routes.map(({ key }) => key?.version));
    expect(versions).toHaveLength(40);
    expect(new Set(versions)).toEqual(new Set(upTo(1, 40).map((revision) => `v${revision}`)));
  });
});

describe('a watch of changes', () => {
  test('gets them once, in order, whatever the pace', async () => {
    const stage = withCommits(1);
    const watch = stage.watch({ afterRevision: 1n });
    for (let step = 0; step < 30; step++) {
      for (let commits = 0; commits <= step % 4; commits++) commit(stage, [1 + (step % 3)]);
      watch.stream.reading = step % 5 === 0;
      if (step % 2 === 0) await stage.settle();
      watch.stream.read(step % 3);
    }
    watch.stream.reading = true;
    watch.stream.read();
    const received = await messages(stage, watch);
    expect(revisionsIn(received)).toEqual(upTo(2, stage.tenant.position.revision));
  });

  test('gets a transaction that is larger than a message in parts, and a resume point only with the last of them', async () => {
    const stage = withCommits(1);
    const watch = stage.watch({ afterRevision: 1n });
    await stage.settle();
    commit(stage, [1]);
    commit(stage, [9], { url: largeUrl });
    commit(stage, [1]);
    const received = await messages(stage, watch);
    const seen: bigint[] = [];
    for (const message of received) {
      expect(WatchResponse.encode(message).finish().length).toBeLessThan(clientBytesMax);
      if (message.event?.$case !== 'changeBatch') throw new Error('a batch');
      seen.push(...message.event.value.changes.map((change) => change.revision));
      // What a watcher holds that breaks off now is whole transactions up to the resume point.
      const inside = ![2n, 11n, 12n].includes(seen.at(-1) ?? 0n);
      expect(message.event.value.continued).toBe(inside);
      if (inside) expect([message.revision, message.commitId]).toEqual([2n, 'commit-2']);
    }
    expect(received.length).toBeGreaterThan(3);
    expect(seen.map(Number)).toEqual(upTo(2, 12));
    expect(received.at(-1)).toMatchObject({ revision: 12n, commitId: 'commit-4' });
  });

  test('gets many small transactions in few messages, none of them split', async () => {
    const stage = withCommits(1);
    const watch = stage.watch({ afterRevision: 1n, everyChange: true });
    await stage.settle();
    commit(stage, times(700, 3));
    const received = await messages(stage, watch);
    expect(revisionsIn(received)).toEqual(upTo(2, 2_101));
    expect(received.length).toBeLessThan(20);
    for (const { revision, commitId, event } of received) {
      expect(event).toMatchObject({ $case: 'changeBatch', value: { continued: false } });
      expect((Number(revision) - 1) % 3).toBe(0);
      expect(commitId).toBe(`commit-${1 + (Number(revision) - 1) / 3}`);
    }
  });

  test('gets only the newest of each resource when it is behind, unless it wants every change', async () => {
    const stage = newStage(60);
    commit(stage, [1]);
    const watch = stage.watch({ afterRevision: 1n });
    const every = stage.watch({ afterRevision: 1n, everyChange: true });
    await stage.settle();
    for (let index = 0; index < 6; index++) stage.tenant.commit(route('v1', { url: `grpc://a:${index + 1}` }));
    expect(await outlines(stage, watch)).toEqual(['7 commit-7: changes 2 3 4 5 6 7']);
    expect(await outlines(stage, every)).toEqual(['7 commit-7: changes 2 3 4 5 6 7']);
    // One more than a tenth of the window.
    for (let index = 0; index < 7; index++) stage.tenant.commit(route(`v${1 + (index % 2)}`));
    expect(await outlines(stage, watch)).toEqual(['14 commit-14: changes 13 14 coalesced after 7']);
    expect(await outlines(stage, every)).toEqual(['14 commit-14: changes 8 9 10 11 12 13 14']);
  });

  test('of some services gets those, and a resume point that leaves none out', async () => {
    const stage = withCommits(1);
    const watch = stage.watch({ services: ['shop'], progressInterval: { seconds: 1n, nanos: 0 }, afterRevision: 1n });
    await stage.settle();
    commit(stage, [1]);
    commit(stage, [1], { service: 'shop' });
    commit(stage, [1]);
    expect(await outlines(stage, watch)).toEqual(['4 commit-4: changes 3']);
    // Nothing for this watch: it is silence, and the next progress tells how far the stream has come.
    commit(stage, [1, 1]);
    expect(await outlines(stage, watch)).toEqual([]);
    await stage.pass(1_000);
    expect(await outlines(stage, watch)).toEqual(['6 commit-6: progress']);
  });
});

describe('a resumed watch', () => {
  // Revisions 1, 3, 4 and 5.
  const withHistory = () => withCommits(1, 2, 1, 1);

  test.for([
    ['the very first change', { afterRevision: 0n }, '5 commit-4: changes 1 2 3 4 5'],
    ['a commit', { afterRevision: 3n, afterCommitId: 'commit-2' }, '5 commit-4: changes 4 5'],
    ['a revision whose commit is not checked', { afterRevision: 4n }, '5 commit-4: changes 5'],
    ['a revision inside a commit', { afterRevision: 2n, afterCommitId: 'commit-2' }, '5 commit-4: changes 3 4 5'],
  ] as const)('gets what came after %s, and no snapshot', async ([, fields, expected]) => {
    const stage = withHistory();
    expect(await outlines(stage, stage.watch(fields))).toEqual([expected]);
  });

  test('gets only what is new when it had everything', async () => {
    const stage = withHistory();
    const watch = stage.watch({ afterRevision: 5n, afterCommitId: 'commit-4' });
    expect(await outlines(stage, watch)).toEqual([]);
    commit(stage, [1]);
    expect(await outlines(stage, watch)).toEqual(['6 commit-5: changes 6']);
  });

  test.for([
    [
      'a revision that is not reached',
      { afterRevision: 6n },
      { reason: 'REVISION_IN_FUTURE', metadata: { tenant: 'acme', revision: '6', newest_revision: '5' } },
    ],
    ['another commit', { afterRevision: 4n, afterCommitId: 'other' }, { reason: 'HISTORY_DIVERGED' }],
    ['a commit before the first', { afterRevision: 0n, afterCommitId: 'other' }, { reason: 'HISTORY_DIVERGED' }],
  ] as const)('is refused after %s', async ([, fields, refusal]) => {
    const stage = withHistory();
    const watch = stage.watch(fields);
    await stage.settle();
    expect(watch.outcome()).toMatchObject(refusal);
    expect(watch.stream.received).toEqual([]);
  });

  test('gets from the log what has left the memory, and then goes on from memory', async () => {
    const stage = newStage(10);
    commit(stage, times(600, 2));
    const watch = stage.watch({ afterRevision: 2n, afterCommitId: 'commit-1' });
    const received = await messages(stage, watch);
    expect(revisionsIn(received)).toEqual(upTo(3, 1_200));
    const { logReads } = stage;
    expect(logReads).toBeGreaterThan(2);
    commit(stage, [1]);
    expect(await outlines(stage, watch)).toEqual(['1201 commit-601: changes 1201']);
    expect(stage.logReads).toBe(logReads);
  });

  test('shares the reads of the log with those that resume near it', async () => {
    const stage = newStage(10);
    commit(stage, times(400, 1));
    const watches = upTo(100, 199).map((revision) => stage.watch({ afterRevision: BigInt(revision) }));
    for (const [index, watch] of watches.entries())
      expect(revisionsIn(await messages(stage, watch))).toEqual(upTo(101 + index, 400));
    expect(stage.logReads).toBe(1);
  });

  test('is told to start again when the log does not have it any more', async () => {
    const stage = newStage(1);
    commit(stage, [1, 2, 1, 1]);
    stage.tenant.keptFrom = 4;
    const watches = [stage.watch({ afterRevision: 1n }), stage.watch({ afterRevision: 0n })];
    await stage.settle();
    expect(watches.map((watch) => watch.outcome())).toMatchObject([
      { reason: 'REVISION_COMPACTED', metadata: { tenant: 'acme', revision: '1' } },
      { reason: 'REVISION_COMPACTED', metadata: { tenant: 'acme', revision: '0' } },
    ]);
  });

  test('fails as the log does', async () => {
    const stage = newStage(1);
    commit(stage, [1, 1, 1, 1]);
    stage.logError = new DomainError('DATABASE_UNAVAILABLE', 'out of reach', { retryDelayMs: 1_000 });
    const watch = stage.watch({ afterRevision: 0n });
    await stage.settle();
    expect(watch.outcome()).toMatchObject({ reason: 'DATABASE_UNAVAILABLE', retryDelayMs: 1_000 });
    expect(stage.tenant.listeners).toBe(0);
  });
});
