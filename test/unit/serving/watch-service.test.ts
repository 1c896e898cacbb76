import { describe, expect, test } from 'vitest';
import { replicaLimits } from '../../../src/app/limits.ts';
import type { Change } from '../../../src/domain/change.ts';
import type { Route } from '../../../src/domain/route.ts';
import { WatchResponse, type WatchRequest } from '../../../src/gen/trafficmanager/v1/watch_service.ts';
import { exampleChanges } from '../../fakes/example-changes.ts';
import { exampleEndpoint } from '../../fakes/example-configuration.ts';
import { WatchBench } from './watch-bench.ts';

/** What a message says, in a few words. */
function outline({ revision, commitId, event }: WatchResponse): string {
  const at = `${revision} ${commitId}`;
  switch (event?.$case) {
    case 'snapshotChunk':
      return `${at}: ${event.value.routes.length} routes${event.value.last ? ', last' : ''}`;
    case 'changeBatch': {
      const revisions = event.value.changes.map((change) => change.revision);
      return `${at}: changes ${revisions.join(' ')}${event.value.continued ? ' continued' : ''}`;
    }
    case 'progress':
      return `${at}: progress`;
    case undefined:
      return `${at}: nothing`;
  }
}

/** The largest size that clients commonly take. */
const clientBytesMax = 4 * 1024 * 1024;

function routesOf(changes: readonly Change[]): Route[] {
  return changes.flatMap(({ subject }) => (subject.kind === 'route' ? [subject.after] : []));
}

/** Changes of routes that are as large as they may be. */
function largeChanges(first: number, ...sizes: number[]): Change[] {
  const endpoints = Array.from({ length: 120 }, (_, index) =>
    exampleEndpoint({ url: `http://host-${index}/${'p'.repeat(2_000)}` }),
  );
  return exampleChanges(first, ...sizes).map((change) => {
    if (change.subject.kind !== 'route') return change;
    const after = { ...change.subject.after, endpoints };
    return { ...change, subject: { ...change.subject, before: after, after } };
  });
}

describe('a watch without a resume point', () => {
  test('begins with a snapshot of one moment, and goes on with what was committed while it was sent', async () => {
    const routes = routesOf(exampleChanges(2, 1, 1));
    const bench = new WatchBench({ position: { revision: 3, commitId: 'commit-3' }, routes });
    const watch = bench.watch();
    await watch.pending();
    bench.commit(exampleChanges(4, 2));
    expect(outline(await watch.next())).toBe('3 commit-3: 2 routes, last');
    bench.commit(exampleChanges(6, 1));
    expect(outline(await watch.next())).toBe('6 commit-6: changes 4 5 6');
  });

  test('begins with an empty last chunk when there is nothing', async () => {
    const watch = new WatchBench({}).watch();
    expect(outline(await watch.next())).toBe('1 commit-1: 0 routes, last');
  });

  test('leaves deleted routes out of the snapshot', async () => {
    const [gone, here] = routesOf(exampleChanges(2, 1, 1));
    if (gone === undefined || here === undefined) throw new Error('there are two routes');
    const deleted: Route = { ...gone, lifecycle: { state: 'DELETED', deletedFrom: 'ACTIVE' } };
    const watch = new WatchBench({ routes: [deleted, here] }).watch();
    const { event } = await watch.next();
    if (event?.$case !== 'snapshotChunk') throw new Error('a snapshot');
    expect(event.value.routes.map(({ key }) => key?.version)).toEqual([here.key.version]);
  });

  test('gets a large snapshot in chunks that clients can take, and only the last is marked', async () => {
    const routes = routesOf(largeChanges(2, ...Array.from({ length: 40 }, () => 1)));
    const watch = new WatchBench({ position: { revision: 41, commitId: 'commit-41' }, routes }).watch();
    const versions: string[] = [];
    const lasts: boolean[] = [];
    while (lasts.at(-1) !== true) {
      const message = await watch.next();
      expect(WatchResponse.encode(message).finish().length).toBeLessThan(clientBytesMax);
      expect([message.revision, message.commitId]).toEqual([41n, 'commit-41']);
      if (message.event?.$case !== 'snapshotChunk') throw new Error('a snapshot');
      lasts.push(message.event.value.last);
      versions.push(...message.event.value.routes.map(({ key }) => key?.version ?? ''));
    }
    expect(lasts.length).toBeGreaterThan(5);
    expect(lasts.filter(Boolean)).toHaveLength(1);
    expect(versions).toEqual(routes.map(({ key }) => key.version));
  });
});

describe('a watch of changes', () => {
  test('gets them once, in order, whatever the pace', async () => {
    const bench = new WatchBench({ position: { revision: 1, commitId: 'commit-1' } });
    const watch = bench.watch({ afterRevision: 1n });
    const seen: number[] = [];
    let revision = 1;
    for (let step = 0; step < 30; step++) {
      for (let commits = 0; commits <= step % 4; commits++) {
        bench.commit(exampleChanges(revision + 1, 1 + (step % 3)));
        revision += 1 + (step % 3);
      }
      const { event } = await watch.next();
      if (event?.$case === 'changeBatch') seen.push(...event.value.changes.map((change) => Number(change.revision)));
    }
    while (seen.at(-1) !== revision) {
      const { event } = await watch.next();
      if (event?.$case === 'changeBatch') seen.push(...event.value.changes.map((change) => Number(change.revision)));
    }
    expect(seen).toEqual(Array.from({ length: revision - 1 }, (_, index) => index + 2));
  });

  test('gets a transaction that is larger than a message in parts, and a resume point only with the last of them', async () => {
    const bench = new WatchBench({});
    const watch = bench.watch({ afterRevision: 1n });
    bench.commit([...exampleChanges(2, 1), ...largeChanges(3, 9), ...exampleChanges(12, 1)]);
    const messages: WatchResponse[] = [];
    while (messages.at(-1)?.revision !== 12n) messages.push(await watch.next());
    const seen: bigint[] = [];
    for (const message of messages) {
      expect(WatchResponse.encode(message).finish().length).toBeLessThan(clientBytesMax);
      if (message.event?.$case !== 'changeBatch') throw new Error('a batch');
      seen.push(...message.event.value.changes.map((change) => change.revision));
      // What a watcher holds that breaks off now is whole transactions up to the resume point.
      const inside = seen.at(-1) !== 11n && seen.at(-1) !== 12n;
      expect(message.event.value.continued).toBe(inside);
      if (inside) expect(Number(message.revision)).toBeLessThan(3);
    }
    expect(messages.length).toBeGreaterThan(3);
    expect(seen).toEqual([2n, 3n, 4n, 5n, 6n, 7n, 8n, 9n, 10n, 11n, 12n]);
  });

  test('gets many small transactions in few messages, none of them split', async () => {
    const bench = new WatchBench({});
    const watch = bench.watch({ afterRevision: 1n });
    bench.commit(exampleChanges(2, ...Array.from({ length: 700 }, () => 3)));
    const messages: WatchResponse[] = [];
    while (messages.at(-1)?.revision !== 2_101n) messages.push(await watch.next());
    expect(messages.length).toBeLessThan(10);
    for (const { revision, commitId, event } of messages) {
      expect(event).toMatchObject({ $case: 'changeBatch', value: { continued: false } });
      expect((Number(revision) - 1) % 3).toBe(0);
      expect(commitId).toBe(`commit-${revision}`);
    }
  });

  test('of some services gets those, and a resume point that leaves none out', async () => {
    const bench = new WatchBench({});
    const watch = bench.watch({ services: ['shop'], progressInterval: { seconds: 1n, nanos: 0 }, afterRevision: 1n });
    const toShop = (changes: Change[]): Change[] =>
      changes.map((change) => {
        if (change.subject.kind !== 'route') return change;
        const { after } = change.subject;
        return {
          ...change,
          subject: { ...change.subject, after: { ...after, key: { ...after.key, service: 'shop' } } },
        };
      });
    bench.commit([...exampleChanges(2, 1), ...toShop(exampleChanges(3, 1)), ...exampleChanges(4, 1)]);
    expect(outline(await watch.next())).toBe('4 commit-4: changes 3');
    // Nothing for this watch: it is silence, and the next progress tells how far the stream has come.
    bench.commit(exampleChanges(5, 1, 1));
    await bench.clock.untilSomebodySleeps();
    bench.clock.advance(1_000);
    expect(outline(await watch.next())).toBe('6 commit-6: progress');
  });
});

describe('a resumed watch', () => {
  const history = exampleChanges(1, 1, 2, 1, 1);
  const withHistory = () => {
    const bench = new WatchBench();
    bench.commit(history);
    return bench;
  };

  test.for([
    ['the very first change', { afterRevision: 0n }, '5 commit-5: changes 1 2 3 4 5'],
    ['a commit', { afterRevision: 3n, afterCommitId: 'commit-3' }, '5 commit-5: changes 4 5'],
    ['a revision whose commit is not checked', { afterRevision: 4n }, '5 commit-5: changes 5'],
    ['a revision inside a commit', { afterRevision: 2n, afterCommitId: 'commit-3' }, '5 commit-5: changes 3 4 5'],
  ] as const)('gets what came after %s, and no snapshot', async ([, fields, expected]) => {
    const watch = withHistory().watch(fields);
    expect(outline(await watch.next())).toBe(expected);
  });

  test('gets only what is new when it had everything', async () => {
    const bench = withHistory();
    const watch = bench.watch({ afterRevision: 5n, afterCommitId: 'commit-5' });
    await bench.clock.untilSomebodySleeps();
    bench.commit(exampleChanges(6, 1));
    expect(outline(await watch.next())).toBe('6 commit-6: changes 6');
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
    await expect(withHistory().watch(fields).done).rejects.toMatchObject(refusal);
  });

  test('gets from the log what has left the memory, and then goes on from memory', async () => {
    const bench = new WatchBench({ position: { revision: 5, commitId: 'commit-5' } });
    bench.log = history;
    bench.commit(exampleChanges(6, 1));
    const watch = bench.watch({ afterRevision: 1n, afterCommitId: 'commit-1' });
    expect(outline(await watch.next())).toBe('5 commit-5: changes 2 3 4 5');
    expect(outline(await watch.next())).toBe('6 commit-6: changes 6');
  });

  test('is told to start again when the log does not have it any more', async () => {
    const bench = new WatchBench({ position: { revision: 5, commitId: 'commit-5' } });
    bench.log = history.slice(3);
    const compacted = { reason: 'REVISION_COMPACTED', metadata: { tenant: 'acme', revision: '1' } };
    await expect(bench.watch({ afterRevision: 1n }).done).rejects.toMatchObject(compacted);
    await expect(bench.watch({ afterRevision: 0n }).done).rejects.toMatchObject({ reason: 'REVISION_COMPACTED' });
  });

  test('that does not read in time goes on from the log, and is told when that is gone too', async () => {
    const bench = withHistory();
    const watch = bench.watch({ afterRevision: 4n });
    await watch.pending();
    const many = exampleChanges(6, ...Array.from({ length: replicaLimits.windowChangesMax + 1 }, () => 1));
    bench.commit(many);
    bench.log = many.slice(0, 3);
    expect(outline(await watch.next())).toBe('5 commit-5: changes 5');
    expect(outline(await watch.next())).toBe('8 commit-8: changes 6 7 8');
    bench.log = [];
    bench.commit(exampleChanges(6 + many.length, 1, 1, 1));
    expect((await watch.next()).event).toMatchObject({ $case: 'changeBatch' });
  });
});

describe('a silent watch', () => {
  test.for([
    ['the default of 5 s', undefined, 5_000],
    ['the shortest', { seconds: 0n, nanos: 100_000_000 }, 100],
    ['the longest', { seconds: 600n, nanos: 0 }, 600_000],
  ] as const)('hears of progress after its interval: %s', async ([, progressInterval, intervalMs]) => {
    const bench = new WatchBench({});
    const watch = bench.watch({ afterRevision: 1n, progressInterval });
    for (let round = 0; round < 3; round++) {
      await bench.clock.untilSomebodySleeps();
      bench.clock.advance(intervalMs - 1);
      await bench.clock.untilSomebodySleeps();
      bench.tenant.markVerified(bench.clock.monotonicMs());
      bench.clock.advance(1);
      const message = await watch.next();
      expect(outline(message)).toBe('1 commit-1: progress');
      // An upper bound of how old that news is.
      expect(message.stalenessMs).toBe(1n);
    }
  });

  test('counts silence from its last message', async () => {
    const bench = new WatchBench({});
    const watch = bench.watch({ afterRevision: 1n });
    await bench.clock.untilSomebodySleeps();
    bench.clock.advance(4_999);
    bench.commit(exampleChanges(2, 1));
    expect(outline(await watch.next())).toBe('2 commit-2: changes 2');
    await bench.clock.untilSomebodySleeps();
    bench.clock.advance(4_999);
    bench.commit(exampleChanges(3, 1));
    expect(outline(await watch.next())).toBe('3 commit-3: changes 3');
  });

  test('hears of progress although the changes of others never stop', async () => {
    const bench = new WatchBench({});
    bench.log = exampleChanges(1, ...Array.from({ length: 20_001 }, () => 1));
    bench.reset({ position: { revision: 20_001, commitId: 'commit-20001' } });
    // Each read of the log takes a second.
    const slow = bench.watch({ afterRevision: 1n, services: ['none'] });
    const { log } = bench;
    Object.defineProperty(bench, 'log', {
      get: () => {
        bench.clock.advance(1_000);
        return log;
      },
    });
    const { revision, event } = await slow.next();
    expect(event).toEqual({ $case: 'progress', value: {} });
    expect(Number(revision)).toBeLessThan(5_000);
  });
});

describe('a watch ends', () => {
  test('when its caller goes away, and leaves nothing behind', async () => {
    const bench = new WatchBench({});
    const watch = bench.watch({ afterRevision: 1n });
    await bench.clock.untilSomebodySleeps();
    expect(bench.subscribers).toBe(1);
    watch.caller.abort();
    await watch.done;
    expect(bench.subscribers).toBe(0);
  });

  test('when the server shuts down, and may be resumed at once', async () => {
    const bench = new WatchBench({});
    const watch = bench.watch({ afterRevision: 1n });
    await bench.clock.untilSomebodySleeps();
    bench.draining.abort();
    await expect(watch.done).rejects.toMatchObject({ reason: 'SHUTTING_DOWN', retryDelayMs: 0 });
    expect(bench.subscribers).toBe(0);
  });

  test('when memory was taken anew: what was sent may not be part of it', async () => {
    const bench = new WatchBench({});
    const watch = bench.watch({ afterRevision: 1n });
    await bench.clock.untilSomebodySleeps();
    bench.reset({ position: { revision: 9, commitId: 'restored' } });
    await expect(watch.done).rejects.toMatchObject({ reason: 'HISTORY_DIVERGED' });
  });

  test('when memory was taken anew while its snapshot was sent', async () => {
    const bench = new WatchBench({});
    const watch = bench.watch();
    await watch.pending();
    bench.reset({ position: { revision: 9, commitId: 'restored' } });
    await watch.next();
    await expect(watch.done).rejects.toMatchObject({ reason: 'HISTORY_DIVERGED' });
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
    const { done } = new WatchBench({}).watch({ ...fields, services: [...services], environments: [...environments] });
    const error = await done.catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ reason: 'INVALID_FIELDS', violations: wrong.map((field) => ({ field })) });
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
