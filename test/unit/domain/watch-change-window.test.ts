import { describe, expect, it } from 'vitest';
import { ChangeWindow } from '../../../src/domain/change-window.ts';
import type { Change } from '../../../src/domain/change.ts';
import { exampleEndpoint, exampleKey } from '../../fakes/example-configuration.ts';

/** Changes of one transaction, of the routes with these versions. */
function transaction(first: number, ...versions: readonly string[]): Change[] {
  return versions.map((version, index) => ({
    tenant: 'acme',
    revision: first + index,
    commitRevision: first + versions.length - 1,
    commitId: `commit-${first}`,
    action: 'UPDATED',
    actor: '',
    correlationId: '',
    commitTimeMs: 0,
    subject: {
      kind: 'route',
      before: undefined,
      after: {
        key: exampleKey(version),
        endpoints: [exampleEndpoint()],
        labels: {},
        lifecycle: { state: 'ACTIVE' },
        revision: first + index,
        etag: '',
        createTimeMs: 0,
        updateTimeMs: 0,
        updatedBy: '',
      },
    },
  }));
}

function windowOf(changesMax: number, bytesMax = 1e9): ChangeWindow {
  return new ChangeWindow({ revision: 10, commitId: 'base' }, { changesMax, bytesMax });
}

const after = (window: ChangeWindow, revision: number): number[][] =>
  [...window.unitsAfter(revision)].map(({ entries }) => entries.map(({ change }) => change.revision));

describe('a window', () => {
  it('gives what comes after a revision, transaction by transaction', () => {
    const window = windowOf(100);
    window.append([...transaction(11, 'v1'), ...transaction(12, 'v1', 'v2', 'v3')]);
    window.append(transaction(15, 'v1'));
    expect(after(window, 10)).toEqual([[11], [12, 13, 14], [15]]);
    expect(after(window, 11)).toEqual([[12, 13, 14], [15]]);
    // From inside a transaction: the whole of it, of which the reader takes what it has not.
    expect(after(window, 13)).toEqual([[12, 13, 14], [15]]);
    expect(after(window, 15)).toEqual([]);
    expect([window.hasSeveralAfter(13), window.hasSeveralAfter(14), window.hasSeveralAfter(15)]).toEqual([
      true,
      false,
      false,
    ]);
  });

  it('knows the positions in it', () => {
    const window = windowOf(100);
    window.append(transaction(11, 'v1', 'v2'));
    expect([9, 10, 11, 12, 13].map((revision) => window.positionAt(revision))).toEqual([
      undefined,
      { revision: 10, commitId: 'base' },
      { revision: 11, commitId: 'commit-11' },
      { revision: 12, commitId: 'commit-11' },
      undefined,
    ]);
    expect([9, 10, 12, 13].map((revision) => window.reaches(revision))).toEqual([false, true, true, false]);
  });

  it('takes no gap, no change twice, and no half of a transaction', () => {
    const window = windowOf(100);
    expect(() => window.append(transaction(12, 'v1'))).toThrow('change 12 does not follow 10');
    window.append(transaction(11, 'v1'));
    expect(() => window.append(transaction(11, 'v1'))).toThrow('change 11 does not follow 11');
    expect(() => window.append(transaction(12, 'v1', 'v2').slice(0, 1))).toThrow('not complete');
    expect(() => window.appendCoalesced(transaction(11, 'v1'), { revision: 12, commitId: '' })).toThrow(
      'does not follow',
    );
  });

  it('begins after whole transactions only', () => {
    const window = windowOf(4);
    for (let first = 11; first < 40; first += 3) window.append(transaction(first, 'v1', 'v2', 'v3'));
    // Beside the newest transaction one more fits whole.
    expect(window.base).toEqual({ revision: 34, commitId: 'commit-32' });
    expect(after(window, 34)).toEqual([
      [35, 36, 37],
      [38, 39, 40],
    ]);
  });

  it('keeps the newest transaction however large it is, and what fits before it', () => {
    const window = windowOf(4);
    for (let first = 11; first <= 20; first++) window.append(transaction(first, 'v1'));
    window.append(transaction(21, ...Array.from({ length: 50 }, (_, index) => `v${index}`)));
    expect(window.base.revision).toBe(16);
    expect(after(window, 16).map(({ length }) => length)).toEqual([1, 1, 1, 1, 50]);
  });

  it('is bounded in bytes as well', () => {
    const window = windowOf(1_000, 10_000);
    for (let first = 11; first <= 100; first++) window.append(transaction(first, 'v1'));
    expect(window.end.revision - window.base.revision).toBeLessThan(10);
    expect(window.end.revision - window.base.revision).toBeGreaterThan(5);
  });
});

describe('the newest changes of a range', () => {
  it('are one for each resource, as of the end of the range', () => {
    const window = windowOf(100);
    window.append([
      ...transaction(11, 'v1'),
      ...transaction(12, 'v2', 'v1'),
      ...transaction(14, 'v3'),
      ...transaction(15, 'v2'),
    ]);
    const newest = (from: number, to: number): number[] =>
      [...window.newestIn(from, to)].map(({ revision }) => revision);
    expect(newest(10, 15)).toEqual([13, 14, 15]);
    expect(newest(10, 14)).toEqual([12, 13, 14]);
    expect(newest(10, 11)).toEqual([11]);
    expect(newest(13, 15)).toEqual([14, 15]);
    expect(newest(15, 15)).toEqual([]);
  });

  it('go on from inside of the range where they were left', () => {
    const window = windowOf(100);
    window.append([...transaction(11, 'v1', 'v2', 'v3'), ...transaction(14, 'v1')]);
    expect([...window.newestIn(12, 14)].map(({ revision }) => revision)).toEqual([13, 14]);
  });

  it('are all that is known of a coalesced range', () => {
    const window = windowOf(100);
    window.append(transaction(11, 'v1'));
    window.appendCoalesced([...transaction(13, 'v1'), ...transaction(16, 'v2')], { revision: 17, commitId: 'end' });
    window.append(transaction(18, 'v2'));
    expect(window.positionAt(17)).toEqual({ revision: 17, commitId: 'end' });
    expect([12, 14].map((revision) => window.positionAt(revision))).toEqual([undefined, undefined]);
    expect(
      [...window.unitsAfter(11)].map(({ after: from, end, coalesced }) => [from, end.revision, coalesced]),
    ).toEqual([
      [11, 17, true],
      [17, 18, false],
    ]);
    expect([...window.newestIn(10, 18)].map(({ revision }) => revision)).toEqual([13, 18]);
  });
});
