import { expect, test } from 'vitest';
import { runWithFaults } from '../support/model/fault-run.ts';

/** `TM_TEST_SEED=7` makes the faults and draws the operations of another seed; `npm run fault` runs for longer. */
const seed = Number(process.env['TM_TEST_SEED'] ?? 1);

test('whatever is killed, frozen or cut off: every acknowledged write is there once and whole, and watchers see each change once, in order', async () => {
  const { violations, seen } = await runWithFaults({ seed, seconds: 20 });
  expect(violations.slice(0, 5), `seed ${seed} has ${violations.length} violations`).toEqual([]);
  expect(seen['revisions']).toBeGreaterThan(100);
  for (const fault of [
    'a replica is killed',
    'Postgres is killed',
    'Postgres is frozen',
    'connections are cut',
    'broken',
  ]) {
    expect(seen[fault], fault).toBeGreaterThan(0);
  }
});
