import { expect, test } from 'vitest';
import { faults } from '../support/stream-faults/faults.ts';
import { runStreamFaults } from '../support/stream-faults/run-stream-faults.ts';

/** `TM_TEST_SEED=7` draws another order, other victims and other pauses; `npm run fault` runs for longer. */
const seed = Number(process.env['TM_TEST_SEED'] ?? 1);

test('whatever is killed, frozen, wiped, restored or cut off: every sidecar goes on answering, never goes back, and has what Postgres has within 5 s', async () => {
  const { violations, made, lookupsAnswered, writesAcknowledged } = await runStreamFaults({ seed, seconds: 60 });
  expect(violations.slice(0, 5), `seed ${seed} has ${violations.length} violations`).toEqual([]);
  expect(Object.keys(made).toSorted()).toEqual(Object.keys(faults).toSorted());
  expect(lookupsAnswered).toBeGreaterThan(10_000);
  expect(writesAcknowledged).toBeGreaterThan(100);
}, 300_000);
