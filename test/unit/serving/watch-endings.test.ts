import { describe, expect, test } from 'vitest';
import type { WatchRequest } from '../../../src/gen/trafficmanager/v1/watch_service.ts';
import { FakeWatchStream } from '../../fakes/fake-watch-stream.ts';
import { nextTurn, WatchStage } from '../../fakes/watch-stage.ts';
import {
  commit,
  largeUrl,
  messages,
  newStage,
  outline,
  outlines,
  revisionsIn,
  times,
  withCommits,
} from './watch-telling.ts';

describe('a watch whose client does not read', () => {
  const stalled = async () => {
    const stage = newStage(4);
    commit(stage, [1]);
    const watch = stage.watch({ afterRevision: 1n }, new FakeWatchStream({ reading: false }));
    const reader = stage.watch({ afterRevision: 1n });
    await stage.settle();
    commit(stage, [1], { url: largeUrl });
    await stage.settle();
    return { stage, watch, reader };
  };
  const tooSlow = {
    reason: 'WATCHER_TOO_SLOW',
    metadata: { tenant: 'acme', revision: '2', commit_id: 'commit-2' },
  };

  test('gets nothing more until it does', async () => {
    const { stage, watch } = await stalled();
    const { waitingBytes } = watch.stream;
    commit(stage, [1, 1]);
    await stage.settle();
    expect(watch.stream.waitingBytes).toBe(waitingBytes);
    watch.stream.reading = true;
    watch.stream.read();
    expect(revisionsIn(await messages(stage, watch))).toEqual([2, 3, 4]);
  });

  test('is cut off with its resume point when memory has gone on without it, and others are not', async () => {
    const { stage, watch, reader } = await stalled();
    for (const size of times(20, 1)) {
      commit(stage, [size]);
      await stage.settle();
    }
    expect(watch.outcome()).toBeUndefined();
    watch.stream.reading = true;
    watch.stream.read();
    await stage.settle();
    expect(watch.outcome()).toMatchObject(tooSlow);
    expect(revisionsIn(watch.stream.received)).toEqual([2]);
    expect(reader.outcome()).toBeUndefined();
  });

  test('is cut off after a time in which it took nothing', async () => {
    const { stage, watch, reader } = await stalled();
    await stage.pass(29_900);
    expect(watch.outcome()).toBeUndefined();
    await stage.pass(150);
    expect(watch.outcome()).toMatchObject(tooSlow);
    expect(reader.outcome()).toBeUndefined();
  });
});

describe('a silent watch', () => {
  const tickMs = 50;

  test.for([
    ['the default of 5 s', undefined, 5_000],
    ['the shortest', { seconds: 0n, nanos: 100_000_000 }, 100],
    ['the longest', { seconds: 600n, nanos: 0 }, 600_000],
  ] as const)('hears of progress after its interval: %s', async ([, progressInterval, intervalMs]) => {
    const stage = withCommits(1);
    const watch = stage.watch({ afterRevision: 1n, progressInterval });
    expect(await outlines(stage, watch)).toEqual([]);
    let silentSinceMs = 0;
    for (let heard = 0; heard < 2;) {
      stage.tenant.verifiedAtMs = stage.clock.monotonicMs();
      await stage.pass(tickMs, 1);
      const received = await messages(stage, watch);
      const silentMs = stage.clock.monotonicMs() - silentSinceMs;
      expect(silentMs).toBeLessThanOrEqual(intervalMs + tickMs);
      if (received.length === 0) continue;
      expect(silentMs).toBeGreaterThanOrEqual(intervalMs - tickMs);
      expect(received.map(outline)).toEqual(['1 commit-1: progress']);
      // An upper bound of how old that news is.
      expect(received[0]?.stalenessMs).toBe(BigInt(tickMs));
      silentSinceMs = stage.clock.monotonicMs();
      heard++;
    }
  });

  test('counts silence from its last message', async () => {
    const stage = withCommits(1);
    const watch = stage.watch({ afterRevision: 1n });
    await stage.settle();
    for (const revision of [2, 3]) {
      await stage.pass(4_900);
      commit(stage, [1]);
      expect(await outlines(stage, watch)).toEqual([`${revision} commit-${revision}: changes ${revision}`]);
    }
  });

  test('hears of progress although the changes of others never stop', async () => {
    const stage = withCommits(1);
    const watch = stage.watch({ afterRevision: 1n, services: ['none'] });
    for (let step = 0; step < 110; step++) {
      commit(stage, [1]);
      await stage.pass(tickMs, 1);
    }
    const received = await messages(stage, watch);
    expect(received.map(({ event }) => event)).toEqual([{ $case: 'progress', value: {} }]);
    expect(Number(received[0]?.revision)).toBeGreaterThan(90);
  });
});

describe('a watch ends', () => {
  test('when its caller goes away, and leaves nothing behind', async () => {
    const stage = withCommits(1);
    const watch = stage.watch({ afterRevision: 1n });
    await stage.settle();
    expect(stage.tenant.listeners).toBe(1);
    watch.cancel();
    await stage.settle();
    expect(watch.outcome()).toBe('cancelled');
    expect(stage.tenant.listeners).toBe(0);
  });

  test('when the server shuts down, and may be resumed at once', async () => {
    const stage = withCommits(1);
    const watch = stage.watch({ afterRevision: 1n });
    await stage.settle();
    stage.drain();
    const late = stage.watch({ afterRevision: 1n });
    await stage.settle();
    for (const { outcome } of [watch, late])
      expect(outcome()).toMatchObject({ reason: 'SHUTTING_DOWN', retryDelayMs: 0 });
    expect(stage.tenant.listeners).toBe(0);
  });

  test('when memory was taken anew: what was sent may not be part of it', async () => {
    const stage = withCommits(1, 1);
    const watch = stage.watch({ afterRevision: 2n });
    await stage.settle();
    stage.tenant.restoreTo(1);
    await stage.settle();
    expect(watch.outcome()).toMatchObject({ reason: 'HISTORY_DIVERGED' });
    expect(stage.tenant.listeners).toBe(0);
  });

  test('when memory was taken anew while its snapshot was sent', async () => {
    const stage = withCommits(1, 1);
    const watch = stage.watch();
    await nextTurn();
    stage.tenant.restoreTo(1);
    await stage.settle();
    expect(watch.outcome()).toMatchObject({ reason: 'HISTORY_DIVERGED' });
    expect(watch.stream.received).toEqual([]);
  });
});

describe('watches at a time', () => {
  test.for([
    ['of a server', { watchersMax: 2 }, 'this server'],
    ['of a tenant', { watchersMaxOf: () => 2 }, 'tenant acme'],
  ] as const)('are limited: those %s', async ([, options, limited]) => {
    const stage = new WatchStage(options);
    commit(stage, [1]);
    const [first, second, third] = [stage.watch(), stage.watch(), stage.watch()];
    await stage.settle();
    expect([first.outcome(), second.outcome()]).toEqual([undefined, undefined]);
    const refusal = { reason: 'WATCHER_LIMIT', metadata: { limited, watchers_max: '2' }, retryDelayMs: 5_000 };
    expect(third.outcome()).toMatchObject(refusal);
    first.cancel();
    await stage.settle();
    const fourth = stage.watch();
    await stage.settle();
    expect(fourth.outcome()).toBeUndefined();
  });
});

describe('a watch is refused', () => {
  test.for([
    ['no tenant', { tenant: '' }, ['tenant']],
    ['a tenant that is no name', { tenant: 'ACME' }, ['tenant']],
    ['services that are no names', { services: ['cart', 'Shop', ''] }, ['services[1]', 'services[2]']],
    ['an environment that is no name', { environments: ['pro_duction'] }, ['environments[0]']],
    ['1,001 services', { services: Array.from({ length: 1_001 }, (_, index) => `s${index}`) }, ['services']],
    ['a revision below 0', { afterRevision: -1n }, ['after_revision']],
    ['a revision beyond 2^53', { afterRevision: 2n ** 53n }, ['after_revision']],
    ['an interval too short', { progressInterval: { seconds: 0n, nanos: 99_999_999 } }, ['progress_interval']],
    ['an interval too long', { progressInterval: { seconds: 600n, nanos: 1 } }, ['progress_interval']],
    ['an interval of an age', { progressInterval: { seconds: 2n ** 63n - 1n, nanos: 0 } }, ['progress_interval']],
    ['a negative interval', { progressInterval: { seconds: -5n, nanos: 0 } }, ['progress_interval']],
    [
      'all of it',
      { tenant: 'A', environments: [''], afterRevision: -2n },
      ['tenant', 'environments[0]', 'after_revision'],
    ],
  ] as const)('with %s', async ([, { services = [], environments = [], ...fields }, wrong]: Refused) => {
    const stage = withCommits(1);
    const watch = stage.watch({ ...fields, services: [...services], environments: [...environments] });
    await stage.settle();
    const violations = wrong.map((field) => ({ field }));
    expect(watch.outcome()).toMatchObject({ reason: 'INVALID_FIELDS', violations });
    expect(watch.stream.received).toEqual([]);
  });
});

type Refused = readonly [
  name: string,
  fields: Partial<Omit<WatchRequest, 'services' | 'environments'>> & {
    readonly services?: readonly string[];
    readonly environments?: readonly string[];
  },
  wrong: readonly string[],
];
