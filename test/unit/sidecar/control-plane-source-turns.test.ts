import { expect, test } from 'vitest';
import { sidecarLimits } from '../../../sidecar/limits.ts';
import { SnapshotMemory } from '../../../sidecar/snapshot/snapshot-memory.ts';
import type { ChangeSink } from '../../../sidecar/sync/change-source.ts';
import { ControlPlaneSource } from '../../../sidecar/sync/control-plane-source.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { ScriptedWatch } from '../../fakes/sidecar-scripted-watch.ts';
import { wholeSnapshots } from '../../fakes/sidecar-whole-snapshots.ts';

/** Lets everything go on that waits for nothing but its turn. */
function everybodysTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

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
