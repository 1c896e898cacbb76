import { describe, expect, test } from 'vitest';
import { ChangeWindow } from '../../../src/domain/change-window.ts';
import { exampleChanges } from '../../fakes/example-changes.ts';

const beginning = { revision: 0, commitId: '' };

function revisionsAfter(window: ChangeWindow, revision: number, limit = 1_000): number[] | string {
  const read = window.after(revision, limit);
  return read.kind === 'changes' ? read.changes.map((change) => change.revision) : read.kind;
}

describe('a change window', () => {
  test('that is empty ends where it begins', () => {
    const window = new ChangeWindow({ revision: 7, commitId: 'seven' }, 10);
    expect(window.end).toEqual({ revision: 7, commitId: 'seven' });
    expect(window.positionAt(7)).toEqual({ revision: 7, commitId: 'seven' });
    expect(revisionsAfter(window, 7)).toEqual([]);
    expect(revisionsAfter(window, 6)).toBe('compacted');
    expect(revisionsAfter(window, 8)).toBe('future');
  });

  test('answers what came after a revision, and where that ends', () => {
    const window = new ChangeWindow(beginning, 10);
    window.append(exampleChanges(1, 1, 2, 1));
    expect(revisionsAfter(window, 0)).toEqual([1, 2, 3, 4]);
    expect(revisionsAfter(window, 3)).toEqual([4]);
    expect(revisionsAfter(window, 4)).toEqual([]);
    expect(revisionsAfter(window, 5)).toBe('future');
    expect(window.after(0, 1)).toMatchObject({ position: { revision: 1, commitId: 'commit-1' } });
    expect(window.after(4, 1)).toMatchObject({ changes: [], position: { revision: 4, commitId: 'commit-4' } });
    expect(window.positionAt(2)).toMatchObject({ revision: 2, commitId: 'commit-3' });
  });

  test('never ends an answer inside a transaction', () => {
    const window = new ChangeWindow(beginning, 100);
    window.append(exampleChanges(1, 2, 3, 1));
    expect(revisionsAfter(window, 0, 1)).toEqual([1, 2]);
    expect(revisionsAfter(window, 0, 2)).toEqual([1, 2]);
    expect(revisionsAfter(window, 0, 3)).toEqual([1, 2, 3, 4, 5]);
    // A reader that broke off inside one gets the rest of it.
    expect(revisionsAfter(window, 3, 1)).toEqual([4, 5]);
  });

  test.for([
    ['a gap', exampleChanges(3, 1)],
    ['a repetition', exampleChanges(1, 1)],
  ] as const)('refuses %s', ([, changes]) => {
    const window = new ChangeWindow(beginning, 10);
    window.append(exampleChanges(1, 1));
    expect(() => window.append(changes)).toThrow('does not follow 1');
    expect(window.end).toMatchObject({ revision: 1 });
  });

  test('forgets the oldest beyond its bound, and what is left begins with a whole transaction', () => {
    const window = new ChangeWindow(beginning, 4);
    window.append(exampleChanges(1, 1, 3, 1));
    // Five are one too many: the first goes.
    expect(revisionsAfter(window, 1)).toEqual([2, 3, 4, 5]);
    expect(revisionsAfter(window, 0)).toBe('compacted');
    expect(window.base).toEqual({ revision: 1, commitId: 'commit-1' });
    // The sixth would cut into the transaction of three: all of it goes.
    window.append(exampleChanges(6, 1));
    expect(window.base).toEqual({ revision: 4, commitId: 'commit-4' });
    expect(revisionsAfter(window, 4)).toEqual([5, 6]);
    expect(revisionsAfter(window, 3)).toBe('compacted');
  });

  test('forgets a transaction that is larger than the window as a whole', () => {
    const window = new ChangeWindow(beginning, 4);
    window.append(exampleChanges(1, 10));
    expect(window.base).toEqual({ revision: 10, commitId: 'commit-10' });
    expect(revisionsAfter(window, 10)).toEqual([]);
    window.append(exampleChanges(11, 1));
    expect(revisionsAfter(window, 10)).toEqual([11]);
  });

  test('stays right and bounded however long it lives', () => {
    const changesMax = 5;
    const window = new ChangeWindow(beginning, changesMax);
    let revision = 0;
    for (let step = 0; step < 200; step++) {
      const size = 1 + (step % 3);
      window.append(exampleChanges(revision + 1, size));
      revision += size;
      const base = window.base.revision;
      expect(revision - base).toBeLessThanOrEqual(changesMax);
      expect(revisionsAfter(window, base)).toEqual(Array.from({ length: revision - base }, (_, i) => base + 1 + i));
      if (base > 0) expect(revisionsAfter(window, base - 1)).toBe('compacted');
      expect(window.end.revision).toBe(revision);
      for (let seen = base + 1; seen <= revision; seen++) expect(window.positionAt(seen)?.revision).toBe(seen);
    }
  });
});
