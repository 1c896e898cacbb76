import { parseArgs } from 'node:util';
import { fuzzOnce, type FuzzOutcome } from './fuzz-wire.ts';

// `npm run fuzz -- --count 10000000 --seed 1`: connections of mutated frames against the wire engine, one after the other.
const { values } = parseArgs({
  options: { count: { type: 'string', default: '100000' }, seed: { type: 'string', default: '1' } },
});
const count = Number(values.count);
const first = Number(values.seed);
const outcomes: Record<FuzzOutcome, number> = { alive: 0, ended: 0, refused: 0 };
const reportEvery = 100_000;
const startMs = performance.now();

for (let index = 0; index < count; index++) {
  const seed = first + index;
  try {
    outcomes[fuzzOnce(seed)]++;
  } catch (error) {
    process.stderr.write(`seed ${seed} (npm run fuzz -- --count 1 --seed ${seed})\n`);
    throw error;
  }
  // Answers of later turns have their turn.
  if (index % 100 === 0) await new Promise(setImmediate);
  if ((index + 1) % reportEvery === 0 || index + 1 === count) report(index + 1);
}

function report(done: number): void {
  const seconds = (performance.now() - startMs) / 1_000;
  const rssMiB = Math.round(process.memoryUsage.rss() / 1_048_576);
  process.stdout.write(`${done} connections in ${seconds.toFixed(0)} s, ${rssMiB} MiB: ${JSON.stringify(outcomes)}\n`);
}
