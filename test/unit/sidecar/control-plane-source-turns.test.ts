import { expect, test } from 'vitest';
import { sidecarLimits } from '../../../sidecar/limits.ts';
import { SnapshotMemory } from '../../../sidecar/snapshot/snapshot-memory.ts';
import type { ChangeSink } from '../../../sidecar/sync/change-source.ts';
import { ControlPlaneSource } from '../../../sidecar/sync/control-plane-source.ts';
import type { Change, Position } from '../../../src/domain/change.ts';
import { changeToWire } from '../../../src/wire/change-wire.ts';
import { createRoute, exampleKey } from '../../fakes/example-configuration.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { rangeOf, SidecarHistory } from '../../fakes/sidecar-history.ts';
import { ScriptedWatch } from '../../fakes/sidecar-scripted-watch.ts';
import { wholeSnapshots } from '../../fakes/sidecar-whole-snapshots.ts';

/** Lets everything go on that waits for nothing but its turn. */
function everybodysTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

type Telling = { readonly changes: readonly Change[]; readonly coalescedAfter?: bigint };

/** Tells three transactions in one message. Whatever the follower does with one takes as long as a slice; `told` are their revisions. */
async function tell(telling: (transactions: readonly (readonly Change[])[], before: Position) => Telling) {
  const scripted = new ScriptedWatch();
  const clock = new FakeClock();
  const turns: (() => void)[] = [];
  const source = new ControlPlaneSource(scripted, { clock, random: () => 0.5, schedule: (run) => turns.push(run) });
  const history = new SidecarHistory('acme');
  const before = history.position;
  const transactions = [['v1', 'v2'], ['v3'], ['v4']].map((versions) =>
    history.commit(...versions.map((version) => createRoute(exampleKey(version)))),
  );
  const told: { readonly revisions: readonly number[]; readonly position: Position }[] = [];
  const sink: ChangeSink = {
    held: new SnapshotMemory({ bytesMax: 1 }).tenant('acme'),
    cutOff: () => {},
    ...wholeSnapshots(() => {}),
    changes: ({ changes, position }) => {
      told.push({ revisions: changes.map(({ revision }) => revision), position });
      clock.advance(sidecarLimits.slices.sliceMsMax);
    },
    confirmed: () => {},
  };
  void source.follow('acme', before, sink, new AbortController().signal);
  const stream = await scripted.stream(1);
  const { changes, ...rest } = telling(transactions, before);
  const value = { changes: changes.map(changeToWire), continued: false, ...rest };
  const { revision, commitId } = history.position;
  void stream.send({ revision: BigInt(revision), commitId, event: { $case: 'changeBatch', value } });
  /** What was told in a turn. */
  const turn = async (): Promise<typeof told> => {
    await everybodysTurn();
    for (const run of turns.splice(0)) run();
    return told.splice(0);
  };
  return { transactions, turn };
}

test('transactions in one message are told one by one, and others have their turn in between', async () => {
  const { transactions, turn } = await tell((all) => ({ changes: all.flat() }));
  for (const transaction of transactions) {
    const { position } = rangeOf(transaction);
    expect(await turn()).toEqual([{ revisions: transaction.map(({ revision }) => revision), position }]);
  }
  expect(await turn()).toEqual([]);
});

test('a coalesced range of several transactions is told as one', async () => {
  const { transactions, turn } = await tell((all, before) => ({
    changes: all.flat(),
    coalescedAfter: BigInt(before.revision),
  }));
  const { changes, position } = rangeOf(transactions.flat());
  expect(await turn()).toEqual([{ revisions: changes.map(({ revision }) => revision), position }]);
});

test('a source is not taken for dead while what it has told waits for its turn', async () => {
  const scripted = new ScriptedWatch();
  const clock = new FakeClock();
  const turns: (() => void)[] = [];
  const source = new ControlPlaneSource(scripted, { clock, random: () => 0.5, schedule: (run) => turns.push(run) });
  let confirmations = 0;
  const sink: ChangeSink = {
    held: new SnapshotMemory({ bytesMax: 1 }).tenant('acme'),
    cutOff: () => {},
    ...wholeSnapshots(() => {}),
    changes: () => {},
    confirmed: () => void (confirmations += 1),
  };
  const following = source.follow('acme', { revision: 1, commitId: 'c1' }, sink, new AbortController().signal);
  const stream = await scripted.stream(1);
  void stream.send({ revision: 1n, commitId: 'c1', event: { $case: 'progress', value: {} }, stalenessMs: 0n });
  await everybodysTurn();
  clock.advance(2 * sidecarLimits.silenceMsMax);
  await everybodysTurn();
  for (const run of turns.splice(0)) run();
  await everybodysTurn();
  expect(confirmations).toBe(1);
  // It has as long for its next word as ever, and no longer.
  clock.advance(sidecarLimits.silenceMsMax - 1);
  await everybodysTurn();
  expect(scripted.questions).toHaveLength(1);
  clock.advance(1);
  expect(await following).toMatchObject({
    kind: 'disconnected',
    error: new Error('the source was silent for more than 3500 ms'),
  });
});
