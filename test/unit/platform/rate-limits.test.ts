import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createRateLimits } from '../../../src/platform/rate-limits.ts';

// The limiter is a library's, and takes its time from the machine.
beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('a large request gets through beside small ones, and what was too much is paid for in the next second', async () => {
  const rates = createRateLimits();
  const consume = (count: number): Promise<number | undefined> =>
    rates.consume('writes of acme', { count, perSecond: 1_000 });
  expect(await consume(500)).toBeUndefined();
  expect(await consume(10_000)).toBeUndefined();
  expect(await consume(1)).toBe(1_500);
  expect(await consume(10_000)).toBe(1_500);
  vi.advanceTimersByTime(1_499);
  expect(await consume(1)).toBe(1);
  vi.advanceTimersByTime(1);
  expect(await consume(1)).toBeUndefined();
});

test('what is used up is used up for its key alone', async () => {
  const rates = createRateLimits();
  const consume = (key: string): Promise<number | undefined> => rates.consume(key, { count: 5, perSecond: 5 });
  expect(await consume('acme')).toBeUndefined();
  expect(await consume('acme')).toBe(1_000);
  expect(await consume('globex')).toBeUndefined();
});
