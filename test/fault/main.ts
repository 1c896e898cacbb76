import { parseArgs } from 'node:util';
import { runWithFaults } from '../support/model/fault-run.ts';

/** `npm run fault -- --minutes 10 --seed 7`: the history checker for as long as one likes, 60 s and a seed at a time. */
const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '1' }, seed: { type: 'string', default: '1' } },
});
const runs = Math.max(1, Math.round(Number(values.minutes)));
const startedAt = performance.now();
const onFault = (what: string): void => {
  process.stdout.write(`${((performance.now() - startedAt) / 1_000).toFixed(1)} s: ${what}\n`);
};
let failed = false;
for (let run = 0; run < runs; run++) {
  const seed = Number(values.seed) + run;
  const { violations, seen } = await runWithFaults({ seed, seconds: 60, onFault });
  process.stdout.write(`seed ${seed}: ${violations.length} violations, ${JSON.stringify(seen)}\n`);
  for (const violation of violations) process.stdout.write(`${violation}\n`);
  failed ||= violations.length > 0;
}
process.exit(failed ? 1 : 0);
