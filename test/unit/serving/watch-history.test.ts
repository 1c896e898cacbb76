import { describe, expect, it } from 'vitest';
import { DomainError } from '../../../src/domain/domain-error.ts';
import { FakeWatchStream } from '../../fakes/fake-watch-stream.ts';
import { nextTurn, WatchStage } from '../../fakes/watch-stage.ts';
import { errorOf, lastOf, numbers, revisionsIn, route, routes, stalled } from './watch-examples.ts';

const bounds = { changesMax: 20, bytesMax: 4 * 1024 * 1024 };

/** A tenant whose memory begins well after its log. */
function stageWithHistory(changes: number): WatchStage {
  const stage = new WatchStage({ bounds });
  for (let index = 0; index < changes; index++) stage.tenant.commit(route(`v${index % 5}`));
  return stage;
}

describe('a revision in the future', () => {
  it('is refused, not waited for: the watcher would be sent changes of another history when they come', async () => {
    const stage = stageWithHistory(10);
    const watch = stage.watch({ afterRevision: 11n });
    await stage.settle();
    expect(errorOf(watch)).toMatchObject({
      reason: 'REVISION_IN_FUTURE',
      metadata: { tenant: 'acme', revision: '11', newest_revision: '10' },
    });
  });

  it('is one before the newest', async () => {
    const stage = stageWithHistory(10);
    const watch = stage.watch({ afterRevision: 10n });
    await stage.settle();
    expect(watch.outcome()).toBeUndefined();
  });
});

describe('a truncated log', () => {
  it('refuses who resumes before it, and serves who resumes at its start', async () => {
    const stage = stageWithHistory(1_000);
    stage.tenant.keptFrom = 701;
    const early = stage.watch({ afterRevision: 699n });
    const first = stage.watch({ afterRevision: 701n });
    await stage.settle();
    expect(errorOf(early)).toMatchObject({ reason: 'REVISION_COMPACTED', metadata: { revision: '699' } });
    expect(revisionsIn(first.stream.received)).toEqual(numbers(702, 1_000));
  });

  it('refuses who asks for the very first change when that is gone', async () => {
    const stage = stageWithHistory(100);
    stage.tenant.keptFrom = 2;
    const watch = stage.watch({ afterRevision: 0n });
    await stage.settle();
    expect(errorOf(watch).reason).toBe('REVISION_COMPACTED');
  });

  it('ends who was on the way through it, instead of leaving changes out', async () => {
    const stage = stageWithHistory(2_000);
    const watch = stage.watch({ afterRevision: 100n }, new FakeWatchStream({ reading: false }));
    for (let index = 0; index < 500; index++) stage.tenant.commit(route('v1', { large: true }));
    await stage.settle();
    stage.tenant.keptFrom = 1_900;
    while (watch.outcome() === undefined) {
      watch.stream.read();
      await stage.settle();
    }
    expect(errorOf(watch).reason).toBe('REVISION_COMPACTED');
    const revisions = revisionsIn(watch.stream.received);
    expect(revisions).toEqual(numbers(101, revisions.at(-1) ?? 0));
  });

  it('is read anew where it has grown since it was read', async () => {
    const stage = stageWithHistory(560);
    const early = stage.watch({ afterRevision: 505n });
    await stage.settle();
    for (let index = 0; index < 200; index++) {
      stage.tenant.commit(route('v1'));
      await stage.settle();
    }
    const late = stage.watch({ afterRevision: 505n });
    await stage.settle();
    for (const { stream } of [early, late]) expect(revisionsIn(stream.received)).toEqual(numbers(506, 760));
  });

  it('does not matter to who is served from memory', async () => {
    const stage = stageWithHistory(100);
    stage.tenant.keptFrom = 101;
    const watch = stage.watch({ afterRevision: 90n });
    await stage.settle();
    expect(revisionsIn(watch.stream.received)).toEqual(numbers(91, 100));
    expect(stage.logReads).toBe(0);
  });
});

describe('a log that cannot be read', () => {
  it('ends the watch with its reason, and nothing is left out', async () => {
    const stage = stageWithHistory(1_500);
    const watch = stage.watch({ afterRevision: 400n }, new FakeWatchStream({ reading: false }));
    await stage.settle();
    stage.logError = new DomainError('DATABASE_UNAVAILABLE', 'no database');
    const other = stage.watch({ afterRevision: 1_100n });
    for (let index = 0; index < 20; index++) {
      watch.stream.read();
      await stage.settle();
    }
    expect([errorOf(other).reason, errorOf(watch).reason]).toEqual(['DATABASE_UNAVAILABLE', 'DATABASE_UNAVAILABLE']);
    const revisions = revisionsIn(watch.stream.received);
    expect(revisions).toEqual(numbers(401, revisions.at(-1) ?? 0));
  });
});

describe('a restored database', () => {
  it('ends everybody, those that read and those that do not: what they have seen may never have happened', async () => {
    const stage = stageWithHistory(10);
    const reading = stage.watch();
    const stuck = await stalled(stage);
    stage.tenant.commit(...routes(40, { large: true }));
    await stage.settle();
    stage.tenant.restoreTo(8);
    stage.tenant.commit(route('v9'));
    await stage.settle();
    expect(errorOf(reading)).toMatchObject({ reason: 'HISTORY_DIVERGED' });
    expect(errorOf(stuck)).toMatchObject({ reason: 'HISTORY_DIVERGED' });
    // Nothing of the new history reached them: for them time did not go back.
    expect(revisionsIn(reading.stream.received)).toEqual(numbers(11, 50));
    const again = stage.watch();
    await stage.settle();
    expect(lastOf(again)).toMatchObject({ revision: 9n });
  });

  it('does not end who comes after it, though those from before are still there', async () => {
    const stage = stageWithHistory(10);
    const before = stage.watch();
    await stage.settle();
    stage.tenant.restoreTo(8);
    const after = stage.watch();
    await nextTurn();
    stage.tenant.commit(route('v9'));
    await stage.settle();
    expect(errorOf(before).reason).toBe('HISTORY_DIVERGED');
    expect(after.outcome()).toBeUndefined();
    expect(revisionsIn(after.stream.received)).toEqual([9]);
  });

  it('is found by the commit id of who resumes, in memory and in the log', async () => {
    const stage = stageWithHistory(600);
    const old = stage.tenant.log[589]?.commitId;
    const ancient = stage.tenant.log[99]?.commitId;
    stage.tenant.restoreTo(50);
    for (let index = 0; index < 550; index++) stage.tenant.commit(route('v1'));
    for (const [afterRevision, afterCommitId] of [
      [590n, old],
      [100n, ancient],
    ] as const) {
      const watch = stage.watch({ afterRevision, afterCommitId: afterCommitId ?? '' });
      await stage.settle();
      expect(errorOf(watch)).toMatchObject({
        reason: 'HISTORY_DIVERGED',
        metadata: { revision: String(afterRevision), commit_id: stage.tenant.log[Number(afterRevision) - 1]?.commitId },
      });
    }
    // What both histories have is no reason to refuse.
    const common = stage.watch({ afterRevision: 40n, afterCommitId: stage.tenant.log[39]?.commitId ?? '' });
    await stage.settle();
    expect(revisionsIn(common.stream.received)).toEqual(numbers(41, 600));
  });

  it('is found where the log meets memory, before memory has been taken anew', async () => {
    const stage = stageWithHistory(600);
    const older = stage.tenant.older.bind(stage.tenant);
    // The log is already another one.
    stage.tenant.older = (from, limit) =>
      older(from, limit).map((change) => ({ ...change, commitId: change.revision > 300 ? 'other' : change.commitId }));
    const watch = stage.watch({ afterRevision: 250n });
    await stage.settle();
    expect(errorOf(watch).reason).toBe('HISTORY_DIVERGED');
  });

  it('does not show pages of the log from before it', async () => {
    const stage = stageWithHistory(600);
    const before = stage.watch({ afterRevision: 0n });
    await stage.settle();
    stage.tenant.restoreTo(50);
    for (let index = 0; index < 550; index++) stage.tenant.commit(route('v1'));
    await stage.settle();
    expect(errorOf(before).reason).toBe('HISTORY_DIVERGED');
    const after = stage.watch({ afterRevision: 0n });
    await stage.settle();
    const ids = after.stream.received.flatMap(({ event }) =>
      event?.$case === 'changeBatch' ? event.value.changes.map(({ commitId }) => commitId) : [],
    );
    expect(ids).toEqual(stage.tenant.log.map(({ commitId }) => commitId));
  });
});

describe('a server that was itself told of a range only coalesced', () => {
  it('tells it coalesced, and refuses who needs every change of it', async () => {
    const stage = new WatchStage();
    stage.tenant.keptFrom = Number.MAX_SAFE_INTEGER;
    stage.tenant.commit(route('v1'));
    const watch = await stalled(stage);
    watch.stream.reading = true;
    const strict = stage.watch({ afterRevision: 1n, everyChange: true });
    await stage.settle();
    stage.tenant.commitCoalesced([[route('v1')], [route('v2')], [route('v1')]]);
    await stage.settle();
    expect(lastOf(watch)).toMatchObject({ revision: 4n, event: { value: { coalescedAfter: 1n, continued: false } } });
    expect(revisionsIn(watch.stream.received)).toEqual([3, 4]);
    expect(errorOf(strict)).toMatchObject({ reason: 'REVISION_COMPACTED', metadata: { revision: '1' } });
    // Who resumes inside of the range, from elsewhere, gets the newer changes of it.
    const inside = stage.watch({ afterRevision: 3n, afterCommitId: 'commit-3' });
    const gap = stage.watch({ afterRevision: 2n, afterCommitId: 'commit-2' });
    await stage.settle();
    expect(lastOf(inside)).toMatchObject({ revision: 4n, event: { value: { coalescedAfter: 3n } } });
    expect(revisionsIn(inside.stream.received)).toEqual([4]);
    expect(errorOf(gap).reason).toBe('REVISION_COMPACTED');
  });
});
