import { expect, it } from 'vitest';
import { fuzzOnce } from '../fuzz/fuzz-wire.ts';

/** Seeds that once found something: they are tried for ever. */
const corpus: readonly number[] = [];

it('survives seeds that once did it harm', () => {
  expect(corpus.map((seed) => fuzzOnce(seed))).toHaveLength(corpus.length);
});

it('survives 5,000 connections of mutated frames: never throws, never blames itself, holds nothing afterwards', () => {
  const outcomes = Array.from({ length: 5_000 }, (_none, index) => fuzzOnce(index));
  // A fuzzer whose connections all end the same way tests little.
  for (const outcome of ['alive', 'refused'] as const)
    expect(outcomes.filter((each) => each === outcome).length).toBeGreaterThan(500);
});
