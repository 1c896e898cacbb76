import { parseArgs } from 'node:util';
import type { FuzzOutcome } from './check-written.ts';
import { fuzzClient } from './fuzz-client.ts';
import { fuzzPassThrough } from './fuzz-pass-through.ts';
import { fuzzServer } from './fuzz-server.ts';
import { Reached } from './reached.ts';

// `npm run fuzz -- --side both --count 10000000 --seed 1`: connections of mutated frames against the wire engine, one after the other.
const fuzzers = { server: fuzzServer, client: fuzzClient, 'pass-through': fuzzPassThrough } as const;
type Side = keyof typeof fuzzers;
const sides: ReadonlyMap<string, readonly Side[]> = new Map<string, readonly Side[]>([
  ['server', ['server']],
  ['client', ['client']],
  ['pass-through', ['pass-through']],
  ['both', ['server', 'client']],
  ['all', ['server', 'client', 'pass-through']],
]);

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    side: { type: 'string', default: 'all' },
  },
});
const count = Number(values.count);
const first = Number(values.seed);
const reportEvery = 100_000;
const startMs = performance.now();
const chosen = sides.get(values.side);
if (chosen === undefined) throw new Error(`--side is one of ${[...sides.keys()].join(', ')}`);

for (const side of chosen) await run(side, fuzzers[side]);

async function run(side: Side, fuzz: (seed: number) => FuzzOutcome): Promise<void> {
  const reached = new Reached();
  for (let index = 0; index < count; index++) {
    const seed = first + index;
    try {
      reached.add(fuzz(seed));
    } catch (error) {
      process.stderr.write(`seed ${seed} (npm run fuzz -- --side ${side} --count 1 --seed ${seed})\n`);
      throw error;
    }
    // Answers of later turns have their turn.
    if (index % 100 === 0) await new Promise(setImmediate);
    if ((index + 1) % reportEvery === 0 || index + 1 === count) report(side, index + 1, reached);
  }
}

function report(side: string, done: number, reached: Reached): void {
  const seconds = (performance.now() - startMs) / 1_000;
  const rssMiB = Math.round(process.memoryUsage.rss() / 1_048_576);
  process.stdout.write(`${side}: ${done} connections in ${seconds.toFixed(0)} s, ${rssMiB} MiB: ${reached.text}\n`);
}
