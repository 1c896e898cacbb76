/** Time as an argument: programs pass {@link systemClock}, tests one that they move by hand. */
export interface Clock {
  /** Milliseconds since some fixed moment; never goes back, whatever happens to the date. For ages and deadlines. */
  monotonicMs(): number;
  /** Milliseconds since the epoch, as the machine believes. For showing to people only. */
  wallMs(): number;
  /** Resolves after a time, or at once when the signal fires. */
  sleep(durationMs: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  sleep: (durationMs, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted === true) return resolve();
      const finish = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', finish);
        resolve();
      };
      const timer = setTimeout(finish, durationMs);
      signal?.addEventListener('abort', finish, { once: true });
    }),
};
