import { PerformanceObserver } from 'node:perf_hooks';

/** What a server's process says of itself. */
export type ProcessFigures = {
  readonly rssBytes: number;
  readonly heapBytes: number;
  /** Pauses of the garbage collector since it was asked last. */
  readonly pauses: { readonly count: number; readonly maxMs: number; readonly totalMs: number };
};

/** Answers the message `figures` of the parent. */
export function tellFigures(): void {
  let [count, maxMs, totalMs] = [0, 0, 0];
  const observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) {
      count++;
      maxMs = Math.max(maxMs, duration);
      totalMs += duration;
    }
  });
  observer.observe({ entryTypes: ['gc'] });
  process.on('message', (message) => {
    if (message !== 'figures') return;
    const { rss, heapUsed } = process.memoryUsage();
    const figures: ProcessFigures = {
      rssBytes: rss,
      heapBytes: heapUsed,
      pauses: { count, maxMs, totalMs },
    };
    [count, maxMs, totalMs] = [0, 0, 0];
    process.send?.(figures);
  });
}
