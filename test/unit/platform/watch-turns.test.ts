import { expect, it } from 'vitest';
import { Turns, type TurnTask } from '../../../src/platform/turns.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';

/** Tasks whose every piece of work takes a millisecond, of the two that a slice has. */
function stage() {
  const clock = new FakeClock();
  const scheduled: (() => void)[] = [];
  const done: string[] = [];
  const turns = new Turns({
    monotonicMs: () => clock.monotonicMs(),
    schedule: (run) => scheduled.push(run),
    sliceMsMax: 2,
  });
  const task = (name: string, pieces: number): TurnTask => {
    let left = pieces;
    return {
      work: (mayGoOn) => {
        while (left > 0) {
          done.push(name);
          left--;
          clock.advance(1);
          if (!mayGoOn()) break;
        }
        return left > 0;
      },
    };
  };
  const turn = (): string => {
    const before = done.length;
    for (const run of scheduled.splice(0)) run();
    return done.slice(before).join('');
  };
  return { turns, task, turn, scheduled };
}

it('gives one slice a turn to all tasks together, and each its turn', () => {
  const { turns, task, turn, scheduled } = stage();
  turns.add(task('a', 5));
  turns.add(task('b', 3));
  turns.add(task('c', 1));
  expect([turn(), turn(), turn(), turn(), turn(), turn()]).toEqual(['aa', 'bb', 'ca', 'ba', 'a', '']);
  expect(scheduled).toEqual([]);
});

it('does not run a task twice for being added twice', () => {
  const { turns, task, turn } = stage();
  const once = task('a', 1);
  turns.add(once);
  turns.add(once);
  expect([turn(), turn()]).toEqual(['a', '']);
});

it('leaves a task that is added while it works to the next turn', () => {
  const { turns, turn, scheduled } = stage();
  let runs = 0;
  const again: TurnTask = {
    work: () => {
      runs++;
      if (runs < 3) turns.add(again);
      return false;
    },
  };
  turns.add(again);
  turn();
  expect([runs, scheduled.length]).toEqual([1, 1]);
  turn();
  turn();
  expect([runs, scheduled.length]).toEqual([3, 0]);
});
