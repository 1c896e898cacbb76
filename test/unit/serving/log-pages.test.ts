import { expect, test } from 'vitest';
import { ChangeWindow } from '../../../src/domain/change-window.ts';
import type { Change } from '../../../src/domain/change.ts';
import { LogPages } from '../../../src/serving/log-pages.ts';
import { createRoute, exampleKey } from '../../fakes/example-configuration.ts';
import { SidecarHistory } from '../../fakes/sidecar-history.ts';

const bounds = { changesMax: 1_000, bytesMax: 1_000_000 };

test('who joins a reading of the log that began before what it wants was there is not told that it is not kept', async () => {
  const history = new SidecarHistory('acme');
  const log: Change[] = [];
  const commit = (version: string): void => void log.push(...history.commit(createRoute(exampleKey(version))));
  const reads: (() => void)[] = [];
  const pages = new LogPages((_tenant, from) => {
    const seen = log.filter(({ revision }) => revision >= from);
    return new Promise((resolve) => reads.push(() => resolve(seen)));
  });
  commit('v1');
  commit('v2');
  const held = new ChangeWindow({ revision: 9, commitId: 'of later' }, bounds);
  const before = log[0]?.revision ?? 0;
  const newest = log[1]?.revision ?? 0;
  const first = pages.load('acme', held, before);
  commit('v3');
  const second = pages.load('acme', held, newest);
  reads.shift()?.();
  expect((await first)?.end.revision).toBe(newest);
  // Else it would have asked for nothing more.
  expect(reads).toHaveLength(1);
  reads.shift()?.();
  expect((await second)?.end.revision).toBe(newest + 1);
});

test('what is not kept is read once, and said to be so', async () => {
  let reads = 0;
  const pages = new LogPages(() => {
    reads++;
    return Promise.resolve([]);
  });
  const held = new ChangeWindow({ revision: 9, commitId: 'of later' }, bounds);
  expect(await pages.load('acme', held, 3)).toBeUndefined();
  expect(reads).toBe(1);
});
