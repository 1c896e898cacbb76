import { PerformanceObserver } from 'node:perf_hooks';
import { GCProfiler } from 'node:v8';

/** What a server's process says of itself; pauses and allocations are those since it was asked last. */
export type ProcessFigures = {
  readonly rssBytes: number;
  readonly heapBytes: number;
  /** On the heap: buffers of sockets are not. */
  readonly allocatedBytes: number;
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
  const allocations = new Allocations();
  process.on('message', (message) => {
    if (message !== 'figures') return;
    const { rss, heapUsed } = process.memoryUsage();
    const pauses = { count, maxMs, totalMs };
    [count, maxMs, totalMs] = [0, 0, 0];
    const figures: ProcessFigures = { rssBytes: rss, heapBytes: heapUsed, allocatedBytes: allocations.take(), pauses };
    process.send?.(figures);
  });
}

/** Sums up what the heap grew by between collections: V8 keeps no such number. */
class Allocations {
  #profiler = new GCProfiler();
  #startBytes = process.memoryUsage().heapUsed;

  constructor() {
    this.#profiler.start();
  }

  take(): number {
    const { statistics } = this.#profiler.stop();
    const endBytes = process.memoryUsage().heapUsed;
    let bytes = 0;
    let usedBytes = this.#startBytes;
    for (const { beforeGC, afterGC } of statistics) {
      // Parts of one collection may be told of as collections inside of each other.
      bytes += Math.max(0, beforeGC.heapStatistics.usedHeapSize - usedBytes);
      usedBytes = afterGC.heapStatistics.usedHeapSize;
    }
    this.#profiler = new GCProfiler();
    this.#profiler.start();
    this.#startBytes = endBytes;
    return bytes + Math.max(0, endBytes - usedBytes);
  }
}
