import { expect, test } from 'vitest';
import { WorkSlices } from '../../../sidecar/sync/work-slices.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';

/** Pieces that take a millisecond each, of the two that a slice has. */
function stage() {
  const clock = new FakeClock();
  const scheduled: (() => void)[] = [];
  const slices = new WorkSlices({
    monotonicMs: () => clock.monotonicMs(),
    schedule: (run) => scheduled.push(run),
    sliceMsMin: 2,
    sliceMsMax: 10,
    sharePerWait: 0.5,
  });
  let done = '';
  const add = (names: string): void => {
    for (const name of names)
      void slices.run(() => {
        done += name;
        clock.advance(1);
      });
  };
  /** What was done in a turn of the event loop. */
  const turn = (): string => {
    const before = done.length;
    for (const run of scheduled.splice(0)) run();
    return done.slice(before);
  };
  return { clock, slices, scheduled, add, turn, done: () => done };
}

test('a slice of the work is done in each turn, in order, and none before the sockets were looked at', () => {
  const { add, turn, scheduled, done } = stage();
  add('abcde');
  expect(done()).toBe('');
  expect([turn(), turn(), turn(), turn()]).toEqual(['ab', 'cd', 'e', '']);
  expect(scheduled).toEqual([]);
});

test('what comes while there is time left is done at once, but never before what waits', () => {
  const { clock, add, turn, done } = stage();
  add('a');
  turn();
  add('bc');
  expect(done()).toBe('ab');
  add('d');
  clock.advance(10);
  add('e');
  expect(done()).toBe('ab');
  expect(turn()).toBe('cde');
});

test('a slice is the longer the longer it had to wait, up to a bound', () => {
  const { clock, add, turn } = stage();
  add('abcdefghijklmnopqrstuvwxyz');
  clock.advance(8);
  expect(turn()).toBe('abcd');
  clock.advance(1_000);
  expect(turn()).toBe('efghijklmn');
  expect(turn()).toBe('op');
});

test('a piece that takes longer than a slice is done whole', () => {
  const { clock, slices, add, turn, done } = stage();
  void slices.run(() => clock.advance(50));
  add('a');
  expect(turn()).toBe('');
  expect(turn()).toBe('a');
  expect(done()).toBe('a');
});

test('a piece in steps is cut between them, and what came after it waits for the last', async () => {
  const { clock, slices, add, turn } = stage();
  let steps = '';
  function* work(): Generator<void, string, void> {
    for (const name of '123') {
      steps += name;
      clock.advance(1);
      yield;
    }
    return 'whole';
  }
  const answering = slices.runSteps(work());
  add('ab');
  expect([turn(), steps]).toEqual(['', '12']);
  expect([turn(), steps]).toEqual(['a', '123']);
  expect(turn()).toBe('b');
  await expect(answering).resolves.toBe('whole');
});

test('a piece in steps that comes while there is time left begins at once, and goes on in the next slice', () => {
  const { clock, slices, add, turn, done } = stage();
  add('a');
  turn();
  let steps = '';
  function* work(): Generator<void, void, void> {
    for (const name of '12') {
      steps += name;
      clock.advance(1);
      yield;
    }
  }
  void slices.runSteps(work());
  add('b');
  expect([done(), steps]).toEqual(['a', '1']);
  turn();
  expect([done(), steps]).toEqual(['ab', '12']);
});

test('what a piece answers or throws is for whoever gave it, and stops nobody else', async () => {
  const { slices, add, turn } = stage();
  const failing = slices.run(() => {
    throw new Error('broken');
  });
  const answering = slices.run(() => 7);
  add('a');
  expect(turn()).toBe('a');
  await expect(failing).rejects.toThrow('broken');
  await expect(answering).resolves.toBe(7);
});
