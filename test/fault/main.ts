import { parseArgs } from 'node:util';
import { runWithFaults } from '../support/model/fault-run.ts';
import { runStreamFaults } from '../support/stream-faults/run-stream-faults.ts';

/**
 * `npm run fault -- --minutes 10 --seed 7`: what the fault tests do, for as long as one likes, about a minute and a seed at a time.
 * `--of history` (writes and watches), `--of stream` (the change stream and its sidecars), or both in turns; `--fault NAME` of the
 * stream's faults only that.
 */
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    of: { type: 'string', default: 'both' },
    fault: { type: 'string', multiple: true },
  },
});
const startedAtMs = performance.now();
const seconds = 60;
const onEvent = (what: string): void => {
  process.stdout.write(`${((performance.now() - startedAtMs) / 1_000).toFixed(1)} s: ${what}\n`);
};
let failed = false;

function report(run: string, violations: readonly string[], figures: object): void {
  process.stdout.write(`${run}: ${violations.length} violations, ${JSON.stringify(figures)}\n`);
  for (const violation of violations) process.stdout.write(`${violation}\n`);
  failed ||= violations.length > 0;
}

for (let seed = Number(values.seed); performance.now() - startedAtMs < Number(values.minutes) * 60_000; seed++) {
  if (values.of !== 'stream') {
    const { violations, seen } = await runWithFaults({ seed, seconds, onFault: onEvent });
    report(`history, seed ${seed}`, violations, seen);
  }
  if (values.of !== 'history') {
    const only = values.fault === undefined ? {} : { only: values.fault };
    const { violations, ...figures } = await runStreamFaults({ seed, seconds, onEvent, ...only });
    report(`stream, seed ${seed}`, violations, figures);
  }
}
process.exit(failed ? 1 : 0);
