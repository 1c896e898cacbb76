import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { guardWithCircuitBreaker, RefusedError, type BreakerState } from '../../../sidecar/guard/circuit-breaker.ts';

// opossum takes no clock: the timers of the process are the fake ones here.
beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const options = {
  timeoutMs: 1_000,
  errorPercentageMax: 50,
  volumeMin: 4,
  windowMs: 10_000,
  resetMs: 2_000,
};

const failure = new Error('upstream is down');
const answer = new Error('not found');

/** A guarded call whose outcome the test gives as its parameter. */
function start() {
  const states: BreakerState[] = [];
  let calls = 0;
  const guarded = guardWithCircuitBreaker(
    async (outcome: Promise<string> | Error) => {
      calls += 1;
      if (outcome instanceof Error) throw outcome;
      return await outcome;
    },
    { ...options, isFailure: (error) => error === failure, onState: (state) => states.push(state) },
  );
  const succeed = async (): Promise<unknown> => await guarded(Promise.resolve('fine'));
  const fail = async (error: Error = failure): Promise<unknown> =>
    await guarded(error).catch((thrown: unknown) => thrown);
  const times = async (count: number, act: () => Promise<unknown>): Promise<void> => {
    for (let done = 0; done < count; done++) await act();
  };
  return { guarded, succeed, fail, times, states, calls: () => calls };
}

function refused(refusal: string): unknown {
  return expect.objectContaining({ refusal }) as unknown;
}

test('it passes on what the call answers, and its errors as they are', async () => {
  const { succeed, fail } = start();
  expect(await succeed()).toBe('fine');
  expect(await fail()).toBe(failure);
  // A code of the system is not one of the breaker's, although they are spelled alike.
  const timedOut = Object.assign(new Error('connect ETIMEDOUT'), { code: 'ETIMEDOUT' });
  expect(await fail(timedOut)).toBe(timedOut);
});

test('it opens when more than the share failed, and not on the share itself', async () => {
  const { succeed, fail, times, states } = start();
  await times(4, succeed);
  await times(4, fail);
  expect(states).toEqual([]);
  await fail();
  expect(states).toEqual(['open']);
});

test('a few failures are no share yet', async () => {
  const { fail, times, states } = start();
  await times(options.volumeMin - 1, fail);
  expect(states).toEqual([]);
  await fail();
  expect(states).toEqual(['open']);
});

test('failures that have left the window do not count', async () => {
  const { fail, times, states } = start();
  await times(options.volumeMin - 1, fail);
  vi.advanceTimersByTime(options.windowMs);
  await times(options.volumeMin - 1, fail);
  expect(states).toEqual([]);
});

test('open, it refuses without a call until its time, then lets one through: success closes it', async () => {
  const { guarded, succeed, fail, times, states, calls } = start();
  await times(options.volumeMin, fail);
  const before = calls();
  vi.advanceTimersByTime(options.resetMs - 1);
  expect(await fail()).toEqual(refused('open'));
  expect(await fail()).toBeInstanceOf(RefusedError);
  expect(calls()).toBe(before);
  vi.advanceTimersByTime(1);
  expect(states).toEqual(['open', 'half_open']);
  const { promise, resolve } = Promise.withResolvers<string>();
  const trial = guarded(promise);
  expect(await fail()).toEqual(refused('open'));
  expect(calls()).toBe(before + 1);
  resolve('fine');
  expect(await trial).toBe('fine');
  expect(states).toEqual(['open', 'half_open', 'closed']);
  expect(await succeed()).toBe('fine');
});

test('the one that is let through opens it again when it fails', async () => {
  const { fail, times, states } = start();
  await times(options.volumeMin, fail);
  vi.advanceTimersByTime(options.resetMs);
  expect(await fail()).toBe(failure);
  expect(states).toEqual(['open', 'half_open', 'open']);
  expect(await fail()).toEqual(refused('open'));
  vi.advanceTimersByTime(options.resetMs);
  expect(states).toEqual(['open', 'half_open', 'open', 'half_open']);
});

test('errors that are answers speak for the upstream: they open nothing, and close what is half open', async () => {
  const { fail, times, states } = start();
  await times(50, async () => expect(await fail(answer)).toBe(answer));
  expect(states).toEqual([]);
  const other = start();
  await other.times(options.volumeMin, other.fail);
  vi.advanceTimersByTime(options.resetMs);
  expect(await other.fail(answer)).toBe(answer);
  expect(other.states).toEqual(['open', 'half_open', 'closed']);
});

test('a call that takes too long is ended, and is a failure', async () => {
  const { guarded, times, states } = start();
  const hang = async (): Promise<void> => {
    const hanging = guarded(new Promise<string>(() => {})).catch((error: unknown) => error);
    vi.advanceTimersByTime(options.timeoutMs - 1);
    const early = await Promise.race([hanging, Promise.resolve('still waiting')]);
    expect(early).toBe('still waiting');
    vi.advanceTimersByTime(1);
    expect(await hanging).toEqual(refused('timeout'));
  };
  await times(options.volumeMin, hang);
  expect(states).toEqual(['open']);
});
