import { expect, inject, test } from 'vitest';
import { runCalmly } from '../support/model/calm-run.ts';

// The seed decides what the clients ask for, not how their calls interleave: `TM_TEST_SEED=7` runs one again, `TM_TEST_SEEDS=50` so many.
const seeds =
  process.env['TM_TEST_SEED'] === undefined
    ? Array.from({ length: Number(process.env['TM_TEST_SEEDS'] ?? 3) }, (_, index) => index + 1)
    : [Number(process.env['TM_TEST_SEED'])];

/** 10 s where nothing else runs. */
const timeoutMs = 240_000;

test.each(seeds)(
  'whatever clients do at once is what the model does one after the other: seed %i',
  async (seed) => {
    const { violations, seen } = await runCalmly({ adminUrl: inject('postgresUrl'), seed, operations: 2_200 });
    expect(violations.slice(0, 5), `seed ${seed} has ${violations.length} violations`).toEqual([]);
    // The run has tried what it is there for.
    expect(seen['calls']).toBeGreaterThanOrEqual(2_000);
    for (const what of ['repeated', 'snapshots', 'watched']) expect(seen[what] ?? 0, what).toBeGreaterThan(0);
  },
  timeoutMs,
);
