import { expect, it } from 'vitest';
import { DeadlineWheel, type Due } from '../../../src/platform/deadline-wheel.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { nextTurn } from '../../fakes/watch-stage.ts';

type Item = Due & { readonly name: string };

const tickMs = 50;

function wheelOf(clock: FakeClock, onDue?: (item: Item, wheel: DeadlineWheel<Item>) => void) {
  const fired: string[] = [];
  const wheel: DeadlineWheel<Item> = new DeadlineWheel<Item>({
    clock,
    tickMs,
    onDue: (item) => {
      fired.push(`${item.name}@${clock.monotonicMs()}`);
      onDue?.(item, wheel);
    },
  });
  const pass = async (durationMs: number, stepMs = tickMs): Promise<void> => {
    for (let passed = 0; passed < durationMs; passed += stepMs) {
      clock.advance(stepMs);
      await nextTurn();
    }
  };
  return { wheel, fired, pass };
}

const item = (name: string): Item => ({ name, dueMs: 0 });

it('calls when it is time, up to a tick too early', async () => {
  const { wheel, fired, pass } = wheelOf(new FakeClock());
  wheel.arm(item('a'), 120);
  wheel.arm(item('b'), 1_000);
  await pass(2_000);
  expect(fired).toEqual(['a@100', 'b@1000']);
});

it('tells deadlines of different rounds apart', async () => {
  const { wheel, fired, pass } = wheelOf(new FakeClock());
  // A round is 512 ticks.
  wheel.arm(item('late'), 512 * tickMs + 100);
  wheel.arm(item('early'), 100);
  await pass(512 * tickMs);
  expect(fired).toEqual(['early@100']);
  await pass(200);
  expect(fired).toEqual(['early@100', `late@${512 * tickMs + 100}`]);
});

it('forgets what was disarmed, and moves what is armed again', async () => {
  const { wheel, fired, pass } = wheelOf(new FakeClock());
  const [gone, moved] = [item('gone'), item('moved')];
  wheel.arm(gone, 200);
  wheel.arm(moved, 200);
  wheel.disarm(gone);
  wheel.arm(moved, 400);
  wheel.disarm(item('never armed'));
  await pass(1_000);
  expect(fired).toEqual(['moved@400']);
});

it('calls with the next tick for what is overdue already', async () => {
  const clock = new FakeClock();
  clock.advance(10_000);
  const { wheel, fired, pass } = wheelOf(clock);
  wheel.arm(item('overdue'), 5);
  await pass(100);
  expect(fired).toEqual(['overdue@10050']);
});

it('calls nobody while an item is armed, also when its time passes meanwhile', async () => {
  const clock = new FakeClock();
  const { wheel, fired } = wheelOf(clock);
  const look = clock.monotonicMs.bind(clock);
  // A tick ends between the two looks that arming takes.
  clock.monotonicMs = () => {
    const nowMs = look();
    clock.advance(tickMs);
    return nowMs;
  };
  wheel.arm(item('a'), 0);
  expect(fired).toEqual([]);
  clock.monotonicMs = look;
  await nextTurn();
  expect(fired.length).toBe(1);
});

it('lets an item be armed again while it is called, without end or loss', async () => {
  const { wheel, fired, pass } = wheelOf(new FakeClock(), (due, owner) => owner.arm(due, due.dueMs + 100));
  wheel.arm(item('a'), 100);
  await pass(500);
  expect(fired).toEqual(['a@100', 'a@200', 'a@300', 'a@400', 'a@500']);
});

it('leaves nobody out when time jumps over many rounds', async () => {
  const { wheel, fired, pass } = wheelOf(new FakeClock());
  for (let index = 0; index < 600; index++) wheel.arm(item(`${index}`), index * 70);
  await pass(100_000, 100_000);
  expect(fired.length).toBe(600);
});

it('rests when there is nothing to wait for, and starts again', async () => {
  const { wheel, fired, pass } = wheelOf(new FakeClock());
  wheel.arm(item('a'), 100);
  await pass(1_000);
  wheel.arm(item('b'), 1_500);
  await pass(1_000);
  expect(fired).toEqual(['a@100', 'b@1500']);
  wheel[Symbol.dispose]();
});

it('sleeps until the next deadline, not from tick to tick, and is woken by one that comes before it', async () => {
  const clock = new FakeClock();
  let sleeps = 0;
  const sleep = clock.sleep.bind(clock);
  clock.sleep = (durationMs, signal) => {
    sleeps++;
    return sleep(durationMs, signal);
  };
  const { wheel, fired, pass } = wheelOf(clock);
  wheel.arm(item('far'), 20_000);
  await pass(10_000);
  wheel.arm(item('near'), 10_200);
  // Later than what it waits for: nobody is woken.
  wheel.arm(item('later'), 15_000);
  await pass(12_000);
  expect(fired).toEqual(['near@10200', 'later@15000', 'far@20000']);
  expect(sleeps).toBe(4);
});
