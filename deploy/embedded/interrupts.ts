import { limits } from './limits.ts';

/** What the person at the terminal wants. */
export interface Interrupts {
  /** Aborted by the first signal: stop everything in order. */
  readonly stop: AbortSignal;
  /** Aborted by a second one: stop everything at once. */
  readonly hardStop: AbortSignal;
  /** To be called for each signal that comes in. */
  readonly receive: () => void;
}

/**
 * Counts signals. `npm start` sends each Ctrl-C on to us although the terminal has sent it already, so one that follows
 * within a moment is the same one.
 */
export function createInterrupts(now: () => number): Interrupts {
  const stop = new AbortController();
  const hardStop = new AbortController();
  let firstAt = 0;
  const receive = (): void => {
    if (!stop.signal.aborted) {
      firstAt = now();
      stop.abort();
    } else if (now() - firstAt >= limits.repeatedInterruptMs) {
      hardStop.abort();
    }
  };
  return { stop: stop.signal, hardStop: hardStop.signal, receive };
}
