import { expect, it } from 'vitest';
import { Reconnecting } from '../../../sidecar/wire/reconnecting.ts';

function start(random: () => number) {
  let nowMs = 1_000;
  const limits = { msMin: 100, msMax: 800 };
  const reconnecting = new Reconnecting({ limits, random, monotonicMs: () => nowMs });
  /** How long it takes until it may try, in steps of 1 ms. */
  const waitMs = (): number => {
    const fromMs = nowMs;
    while (!reconnecting.mayTry) nowMs++;
    return nowMs - fromMs;
  };
  return { reconnecting, waitMs };
}

it('waits twice as long after each attempt that failed, up to the most, and not at all after one that did not', () => {
  const { reconnecting, waitMs } = start(() => 1 - Number.EPSILON);
  const waits: number[] = [waitMs()];
  for (let attempt = 0; attempt < 5; attempt++) {
    reconnecting.failed();
    waits.push(waitMs());
  }
  reconnecting.succeeded();
  waits.push(waitMs());
  reconnecting.failed();
  waits.push(waitMs());
  expect(waits).toEqual([0, 100, 200, 400, 800, 800, 0, 100]);
});

it('spreads clients over half of the time, and lets none come back at once', () => {
  const { reconnecting, waitMs } = start(() => 0);
  reconnecting.failed();
  expect(waitMs()).toBe(50);
});
