import type { Clock } from './clock.ts';

export type ConditionOptions = {
  readonly holds: () => boolean;
  /** Calls back whenever the condition may have changed. */
  readonly subscribe: (listener: () => void) => Disposable;
  /** Gives up when it fires. */
  readonly signal: AbortSignal;
  /** Gives up after this time. */
  readonly timeoutMs: number;
  readonly clock: Clock;
};

/** Waits until a condition holds; false when it gave up. */
export async function untilHolds({ holds, subscribe, signal, timeoutMs, clock }: ConditionOptions): Promise<boolean> {
  if (holds()) return true;
  const settled = new AbortController();
  using _subscription = subscribe(() => {
    if (holds()) settled.abort();
  });
  await clock.sleep(timeoutMs, AbortSignal.any([signal, settled.signal]));
  settled.abort();
  return holds();
}
