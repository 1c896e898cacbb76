import { describe, expect, test } from 'vitest';
import { ChangeWindow, type WindowBounds } from '../../../src/domain/change-window.ts';
import { approximateBytes, type Change } from '../../../src/domain/change.ts';
import { exampleChanges } from '../../fakes/example-changes.ts';

const beginning = { revision: 0, commitId: '' };

function newWindow(bounds: Partial<WindowBounds> = {}, base = beginning): ChangeWindow {
  return new ChangeWindow(base, { changesMax: 100, bytesMax: 16 * 1024 * 1024, ...bounds });
}

/** What comes after a revision, as the revisions of each unit; undefined when the window does not reach it. */
function unitsAfter(window: ChangeWindow, revision: number): number[][] | undefined {
  if (!window.reaches(revision)) return undefined;
  return [...window.unitsAfter(revision)].map(({ entries }) => entries.map(({ change }) => change.revision));
}

function newestIn(window: ChangeWindow, after: number, to: number): number[] {
  return [...window.newestIn(after, to)].map(({ revision }) => revision);
}

/** The changes as changes of one route, or of as many as are named. */
function ofRoutes(changes: readonly Change[], ...versions: readonly string[]): Change[] {
  return changes.map((change, index) => {
    if (change.subject.kind !== 'route') return change;
    const { after } = change.subject;
    const version = versions[index % versions.length] ?? '';
    return { ...change, subject: { ...change.subject, after: { ...after, key: { ...after.key, version } } } };
  });
}

describe('a change window', () => {
  test('that is empty ends where it begins', () => {
    const seven = { revision: 7, commitId: 'seven' };
    const window = newWindow({}, seven);
    expect([window.base, window.end, window.positionAt(7)]).toEqual([seven, seven, seven]);
    expect(unitsAfter(window, 7)).toEqual([]);
    expect(window.reaches(6)).toBe(false);
    expect(window.reaches(8)).toBe(false);
    expect([...window.unitsAfter(6)]).toEqual([]);
    expect([window.positionAt(6), window.positionAt(8)]).toEqual([undefined, undefined]);
  });

  test('answers what came after a revision, transaction by transaction', () => {
    const window = newWindow();
    window.append(exampleChanges(1, 1, 2, 1));
    expect(unitsAfter(window, 0)).toEqual([[1], [2, 3], [4]]);
    expect(unitsAfter(window, 3)).toEqual([[4]]);
    expect(unitsAfter(window, 4)).toEqual([]);
    expect(window.reaches(5)).toBe(false);
    expect([...window.unitsAfter(1)][0]).toMatchObject({
      after: 1,
      end: { revision: 3, commitId: 'commit-3' },
      coalesced: false,
    });
    expect(window.end).toEqual({ revision: 4, commitId: 'commit-4' });
    expect([0, 1, 2].map((revision) => window.hasSeveralAfter(revision))).toEqual([true, true, true]);
    expect([3, 4, 5].map((revision) => window.hasSeveralAfter(revision))).toEqual([false, false, false]);
  });

  test('answers the whole transaction to a reader that broke off inside it', () => {
    const window = newWindow();
    window.append(exampleChanges(1, 2, 3, 1));
    expect(unitsAfter(window, 3)).toEqual([[3, 4, 5], [6]]);
    expect(window.positionAt(3)).toEqual({ revision: 3, commitId: 'commit-5' });
    expect(newestIn(window, 3, 6)).toEqual([4, 5, 6]);
  });

  test.for([
    ['a gap', exampleChanges(3, 1), 'does not follow 1'],
    ['a repetition', exampleChanges(1, 1), 'does not follow 1'],
    ['a part of a transaction', exampleChanges(2, 2).slice(0, 1), 'the transaction of change 2 is not complete'],
  ] as const)('refuses %s', ([, changes, message]) => {
    const window = newWindow();
    window.append(exampleChanges(1, 1));
    expect(() => window.append(changes)).toThrow(message);
    expect(window.end).toMatchObject({ revision: 1 });
  });

  test('forgets the oldest beyond its bound besides the newest unit, whole transactions at a time', () => {
    const window = newWindow({ changesMax: 4 });
    window.append(exampleChanges(1, 1, 3, 1));
    expect(window.base).toEqual(beginning);
    // Four and the newest: the first goes.
    window.append(exampleChanges(6, 1));
    expect(window.base).toEqual({ revision: 1, commitId: 'commit-1' });
    expect(unitsAfter(window, 1)).toEqual([[2, 3, 4], [5], [6]]);
    expect(unitsAfter(window, 0)).toBeUndefined();
    // One more would cut into the transaction of three: all of it goes.
    window.append(exampleChanges(7, 1));
    expect(window.base).toEqual({ revision: 4, commitId: 'commit-4' });
    expect(unitsAfter(window, 4)).toEqual([[5], [6], [7]]);
    expect(unitsAfter(window, 3)).toBeUndefined();
  });

  test('keeps a transaction that is larger than itself, and what was before it, until the next one comes', () => {
    const window = newWindow({ changesMax: 4 });
    window.append(exampleChanges(1, 1));
    window.append(exampleChanges(2, 10));
    expect(window.base).toEqual(beginning);
    expect(unitsAfter(window, 1)).toEqual([[2, 3, 4, 5, 6, 7, 8, 9, 10, 11]]);
    window.append(exampleChanges(12, 1));
    expect(window.base).toEqual({ revision: 11, commitId: 'commit-11' });
    expect(unitsAfter(window, 11)).toEqual([[12]]);
  });

  test('is bounded by size, too', () => {
    const changes = exampleChanges(1, 1, 1, 1, 1);
    const window = newWindow({ bytesMax: approximateBytes(changes[0] as Change) * 2 });
    window.append(changes);
    expect(unitsAfter(window, window.base.revision)).toEqual([[2], [3], [4]]);
    expect(window.base.revision).toBe(1);
  });

  test('stays right and bounded however long it lives', () => {
    const changesMax = 5;
    const window = newWindow({ changesMax });
    let revision = 0;
    for (let step = 0; step < 200; step++) {
      const size = 1 + (step % 3);
      window.append(exampleChanges(revision + 1, size));
      revision += size;
      const base = window.base.revision;
      expect(revision - base).toBeLessThanOrEqual(changesMax + size);
      const kept = Array.from({ length: revision - base }, (_, index) => base + 1 + index);
      expect(unitsAfter(window, base)?.flat()).toEqual(kept);
      expect(newestIn(window, base, revision)).toEqual(kept);
      if (base > 0) expect(unitsAfter(window, base - 1)).toBeUndefined();
      expect(window.end.revision).toBe(revision);
      for (let seen = base + 1; seen <= revision; seen++) {
        expect(window.positionAt(seen)?.revision).toBe(seen);
        const after = unitsAfter(window, seen)?.flat() ?? [];
        expect(after.filter((each) => each > seen)).toEqual(kept.filter((each) => each > seen));
      }
    }
  });
});

describe('the newest changes of a range', () => {
  test('are one for each resource, the last in the range', () => {
    const window = newWindow();
    window.append(ofRoutes(exampleChanges(1, 1, 2, 1, 1, 1), 'v1', 'v2'));
    expect(newestIn(window, 0, 6)).toEqual([5, 6]);
    expect(newestIn(window, 0, 4)).toEqual([3, 4]);
    expect(newestIn(window, 3, 4)).toEqual([4]);
    expect(newestIn(window, 4, 4)).toEqual([]);
  });

  test('stay right when older ones of the same resources have left', () => {
    const window = newWindow({ changesMax: 2 });
    for (let revision = 1; revision <= 9; revision++) window.append(ofRoutes(exampleChanges(revision, 1), 'v1'));
    expect(window.base.revision).toBe(6);
    expect(newestIn(window, 6, 9)).toEqual([9]);
    expect(newestIn(window, 6, 8)).toEqual([8]);
  });
});

describe('a coalesced range', () => {
  test('is one unit, which ends where the range does', () => {
    const window = newWindow();
    window.append(exampleChanges(1, 1));
    const [, , third] = exampleChanges(2, 1, 1, 1);
    window.appendCoalesced([third as Change], { revision: 6, commitId: 'commit-6' });
    expect(window.end).toEqual({ revision: 6, commitId: 'commit-6' });
    expect([...window.unitsAfter(1)]).toMatchObject([{ after: 1, coalesced: true, end: { revision: 6 } }]);
    expect(unitsAfter(window, 1)).toEqual([[4]]);
    // What is not in the range is not known by name.
    expect(window.positionAt(4)).toEqual({ revision: 4, commitId: 'commit-4' });
    expect(window.positionAt(3)).toBeUndefined();
    window.append(exampleChanges(7, 1));
    expect(unitsAfter(window, 1)).toEqual([[4], [7]]);
  });

  test('with nothing in it takes a place like a change, so that many of them leave the window too', () => {
    const window = newWindow({ changesMax: 10 });
    for (let revision = 1; revision <= 30; revision++)
      window.appendCoalesced([], { revision, commitId: `${revision}` });
    expect(window.base).toEqual({ revision: 19, commitId: '19' });
    expect([...window.unitsAfter(19)]).toHaveLength(11);
  });

  test.for([
    ['that begins too early', exampleChanges(1, 1), 3],
    ['that ends before its changes do', exampleChanges(4, 1), 3],
    ['that ends where the window does', [], 1],
  ] as const)('%s is refused', ([, changes, revision]) => {
    const window = newWindow();
    window.append(exampleChanges(1, 1));
    const range = () => window.appendCoalesced(changes, { revision, commitId: 'end' });
    expect(range).toThrow('does not follow 1');
    expect(window.end).toMatchObject({ revision: 1 });
  });
});
