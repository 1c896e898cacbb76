import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { median, printTable } from './report.ts';

/** Something that is done again and again, in this process. */
export type Run = { readonly name: string; readonly count: number; readonly once: (index: number) => unknown };

export type Figures = {
  /** CPU time of all threads: the collector's work counts, time that others take of the machine does not. */
  readonly ns: number;
  /** Allocated in the heap, and outside of it. */
  readonly heapBytes: number;
  readonly bufferBytes: number;
};

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
/** So few that no collection comes in between: at 10 KB each 640 KB, of a young generation of 16 MB. */
const callsPerSample = 64;
const samples = 50;

/** The median of some rounds, after one that warms up. */
export async function measure(rounds: number, run: Run): Promise<Figures> {
  await nsOf(run);
  const ns: number[] = [];
  for (let round = 0; round < rounds; round++) ns.push(await nsOf(run));
  return { ns: median(ns), ...(await allocationsOf(run)) };
}

export async function printFigures(rounds: number, runs: readonly Run[]): Promise<void> {
  const rows: (string | number)[][] = [];
  for (const run of runs) {
    const { ns, heapBytes, bufferBytes } = await measure(rounds, run);
    rows.push([run.name, '', ns, 1e9 / ns, heapBytes, bufferBytes]);
  }
  printTable(['what', '', 'ns of CPU', 'a second', 'bytes of heap', 'bytes of buffers'], rows);
}

async function nsOf({ count, once }: Run): Promise<number> {
  const before = process.cpuUsage();
  for (let index = 0; index < count; index++) {
    const result = once(index);
    if (result instanceof Promise) await result;
  }
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1_000) / count;
}

async function allocationsOf({ once }: Run): Promise<{ heapBytes: number; bufferBytes: number }> {
  const heapBytes: number[] = [];
  const bufferBytes: number[] = [];
  for (let sample = 0; sample < samples; sample++) {
    collectGarbage();
    const before = process.memoryUsage();
    for (let index = 0; index < callsPerSample; index++) {
      const result = once(index);
      if (result instanceof Promise) await result;
    }
    const after = process.memoryUsage();
    heapBytes.push((after.heapUsed - before.heapUsed) / callsPerSample);
    bufferBytes.push((after.arrayBuffers - before.arrayBuffers) / callsPerSample);
  }
  return { heapBytes: median(heapBytes), bufferBytes: median(bufferBytes) };
}
