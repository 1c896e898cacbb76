import { expect, test } from 'vitest';
import { checkObservations, type Committed, type Observation } from '../../support/stream-faults/check-observations.ts';

const path = 'red/cart/production/v1';
const committed: readonly Committed[] = [
  { path, revision: 2, url: 'a' },
  { path, revision: 4, url: 'b' },
  { path, revision: 6, url: undefined },
  { path, revision: 8, url: 'c' },
];
const found = (revision: number, url: string): Observation => ({ kind: 'found', revision, url });
const absent: Observation = { kind: 'absent' };
const unanswered: Observation = { kind: 'unanswered', reason: 'SNAPSHOT_NOT_READY' };
const check = (observations: readonly Observation[], restores = 0): string[] =>
  checkObservations([{ sidecar: 's', path, observations }], committed, restores);

test.each<[string, readonly Observation[]]>([
  ['it boots, and follows', [unanswered, absent, found(2, 'a'), found(4, 'b'), absent, found(8, 'c')]],
  ['it need not see everything', [found(2, 'a'), found(8, 'c')]],
  ['it boots late', [absent, found(8, 'c')]],
])('nothing is wrong: %s', (_what, observations) => {
  expect(check(observations)).toEqual([]);
});

test.each<[string, readonly Observation[]]>([
  ['was never committed', [found(2, 'b')]],
  ['was never committed', [found(3, 'a')]],
  ['it went back from 4 to 2', [found(4, 'b'), found(2, 'a')]],
  ['it went back from 6 to 4', [found(4, 'b'), absent, found(4, 'b')]],
  ['it lost what it had at 8', [found(8, 'c'), absent]],
  ['it stopped answering', [absent, unanswered]],
])('%s', (what, observations) => {
  expect(check(observations)).toEqual([expect.stringContaining(what)]);
});

test('each restore of the database takes a route back once', () => {
  const twice = [found(8, 'c'), found(4, 'b'), found(2, 'a')];
  expect(check(twice, 2)).toEqual([]);
  expect(check(twice, 1)).toHaveLength(1);
  expect(check([found(8, 'c'), absent], 1)).toEqual([]);
});

test('what was deleted in two histories need not have been deleted in the one that is lost', () => {
  const lost = [...committed, { path, revision: 20, url: undefined }];
  const after = [
    { path, revision: 10, url: undefined },
    { path, revision: 12, url: 'd' },
  ];
  const observations = [found(8, 'c'), absent, found(12, 'd')];
  expect(checkObservations([{ sidecar: 's', path, observations }], [...lost, ...after], 0)).toEqual([]);
});
