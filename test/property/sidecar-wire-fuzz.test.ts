import { expect, it } from 'vitest';
import type { FuzzOutcome } from '../fuzz/check-written.ts';
import { fuzzClient } from '../fuzz/fuzz-client.ts';
import { fuzzPassThrough } from '../fuzz/fuzz-pass-through.ts';
import { fuzzServer } from '../fuzz/fuzz-server.ts';

type Side = {
  readonly name: string;
  readonly fuzz: (seed: number) => FuzzOutcome;
  /** Seeds that once found something: they are tried for ever. */
  readonly corpus: readonly number[];
};

const sides: readonly Side[] = [
  { name: 'a server', fuzz: fuzzServer, corpus: [] },
  // Calls that never ended, a stream that ended below its window, and calls that heard of something after their end.
  { name: 'a client', fuzz: fuzzClient, corpus: [6, 68, 13_622] },
  { name: 'what is passed on', fuzz: fuzzPassThrough, corpus: [] },
];

it.each(sides)('survives seeds that once did it harm: $name', ({ fuzz, corpus }) => {
  expect(corpus.map((seed) => fuzz(seed))).toHaveLength(corpus.length);
});

it.each(sides)(
  'survives 5,000 connections of mutated frames, never throws or blames itself, and holds nothing afterwards: $name',
  ({ fuzz }) => {
    const outcomes = Array.from({ length: 5_000 }, (_none, index) => fuzz(index));
    // A fuzzer whose connections all end the same way tests little.
    for (const outcome of ['alive', 'refused'] as const)
      expect(outcomes.filter((each) => each === outcome).length).toBeGreaterThan(500);
  },
);
