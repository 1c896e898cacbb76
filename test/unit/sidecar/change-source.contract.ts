import { describe, expect, test } from 'vitest';
import { SnapshotMemory } from '../../../sidecar/snapshot/snapshot-memory.ts';
import type { ChangeRange } from '../../../sidecar/snapshot/tenant-memory.ts';
import type { ChangeSink, ChangeSource } from '../../../sidecar/sync/change-source.ts';
import { createRoute, exampleKey, moveRoute } from '../../fakes/example-configuration.ts';
import { wholeSnapshots } from '../../fakes/sidecar-whole-snapshots.ts';
import { coalescedRangeOf, rangeOf, SidecarHistory } from '../../fakes/sidecar-history.ts';

/** A source that a test can make tell things. */
export type SourceUnderTest = {
  readonly source: ChangeSource;
  /** Which changes prove something as they come; how fresh the others are, it says with the next confirmation. */
  readonly proves: { readonly changes: boolean; readonly ranges: boolean };
  /** Plays the `count`th stream, counted from 1; resolves when the source has told (or dropped) what it was given. */
  play(count: number): Promise<{
    snapshot(history: SidecarHistory, stalenessMs: number): Promise<void>;
    changes(range: ChangeRange, stalenessMs: number): Promise<void>;
    confirmed(history: SidecarHistory, stalenessMs: number): Promise<void>;
    breakOff(): void;
    refuseResume(): void;
    sayNotFound(): void;
  }>;
};

/** What the sink was told, as lines. */
function recordingSink(): { sink: ChangeSink; told: string[] } {
  const told: string[] = [];
  const memory = new SnapshotMemory({ bytesMax: 1_000_000 }).tenant('acme');
  const sink: ChangeSink = {
    held: memory,
    cutOff: (reason) => void told.push(`cut off: ${reason}`),
    ...wholeSnapshots((snapshot, stalenessMs) => {
      memory.replace(snapshot);
      const { position, routes, policies } = snapshot;
      told.push(
        `snapshot ${position.revision} ${position.commitId}: ${routes.length} ${policies.length}, ${stalenessMs}`,
      );
    }),
    changes: (range, stalenessMs) => {
      memory.advance(range);
      const { changes, position, coalescedAfter } = range;
      told.push(
        `changes ${changes.map(({ revision }) => revision).join()} to ${position.revision} ${position.commitId}${
          coalescedAfter === undefined ? '' : ` coalesced after ${coalescedAfter}`
        }, ${stalenessMs}`,
      );
    },
    confirmed: ({ revision, commitId }, stalenessMs) =>
      void told.push(`confirmed ${revision} ${commitId}, ${stalenessMs}`),
  };
  return { sink, told };
}

/** What every ChangeSource does. */
export function changeSourceContract(name: string, create: () => SourceUnderTest): void {
  describe(`the contract of a change source: ${name}`, () => {
    test('it tells a snapshot, changes and confirmations as they come, with their staleness', async () => {
      const { source, play, proves } = create();
      const { sink, told } = recordingSink();
      const history = new SidecarHistory('acme');
      history.commit(createRoute(exampleKey()));
      const following = source.follow('acme', undefined, sink, new AbortController().signal);
      const stream = await play(1);
      await stream.snapshot(history, 0);
      await stream.changes(
        rangeOf(history.commit(moveRoute(exampleKey(), 'grpc://a:1'), createRoute(exampleKey('v2')))),
        5,
      );
      const [moved, again] = [
        history.commit(moveRoute(exampleKey(), 'grpc://b:1')),
        history.commit(moveRoute(exampleKey(), 'grpc://c:1')),
      ];
      await stream.changes(coalescedRangeOf([...moved, ...again]), 6);
      await stream.confirmed(history, 7);
      stream.breakOff();
      expect(await following).toMatchObject({ kind: 'disconnected', error: expect.any(Error) });
      // It may confirm more often than it was told to, and say that it is not connected yet.
      expect([...new Set(told)].filter((line) => !/^cut off|^confirmed .*, ([0-6]|undefined)$/.test(line))).toEqual([
        'snapshot 2 a-acme-2: 1 0, 0',
        `changes 3,4 to 4 a-acme-3, ${proves.changes ? 5 : undefined}`,
        `changes 6 to 6 a-acme-5 coalesced after 4, ${proves.ranges ? 6 : undefined}`,
        'confirmed 6 a-acme-5, 7',
      ]);
    });

    test('it says why it cannot go on', async () => {
      const { source, play } = create();
      const { sink } = recordingSink();
      const { signal } = new AbortController();
      const refused = source.follow('acme', { revision: 1, commitId: 'x' }, sink, signal);
      (await play(1)).refuseResume();
      expect(await refused).toMatchObject({ kind: 'resume_refused', error: expect.any(Error) });
      const notFound = source.follow('nobody', undefined, sink, signal);
      (await play(2)).sayNotFound();
      expect(await notFound).toMatchObject({ kind: 'tenant_not_found', error: expect.any(Error) });
    });

    test('what the sink throws ends it', async () => {
      const { source, play } = create();
      const { sink } = recordingSink();
      const thrown = new Error('that does not follow');
      const throwing: ChangeSink = {
        ...sink,
        confirmed: () => {
          throw thrown;
        },
      };
      const following = source.follow('acme', undefined, throwing, new AbortController().signal);
      const stream = await play(1);
      await stream.confirmed(new SidecarHistory('acme'), 0);
      expect(await following).toEqual({ kind: 'disconnected', error: thrown });
    });

    test('it stops with its signal, and tells nothing afterwards', async () => {
      const { source, play } = create();
      const { sink, told } = recordingSink();
      const stopped = new AbortController();
      const history = new SidecarHistory('acme');
      const following = source.follow('acme', undefined, sink, stopped.signal);
      const stream = await play(1);
      await stream.snapshot(history, 0);
      stopped.abort();
      expect(await following).toMatchObject({ kind: 'disconnected' });
      const before = [...told];
      await stream.confirmed(history, 0);
      expect(told).toEqual(before);
      expect(told.filter((line) => line.startsWith('snapshot'))).toHaveLength(1);
    });

    test('it does not begin when the signal has fired already', async () => {
      const { source } = create();
      const { sink, told } = recordingSink();
      expect(await source.follow('acme', undefined, sink, AbortSignal.abort())).toMatchObject({ kind: 'disconnected' });
      expect(told).toEqual([]);
    });
  });
}
