import { expect, it } from 'vitest';
import type { ErrorName } from '../../sidecar/wire/error-code.ts';
import type { FuzzOutcome } from '../fuzz/check-written.ts';
import { fuzzClient } from '../fuzz/fuzz-client.ts';
import { fuzzPassThrough } from '../fuzz/fuzz-pass-through.ts';
import { fuzzServer } from '../fuzz/fuzz-server.ts';
import { Reached } from '../fuzz/reached.ts';

type Side = {
  readonly name: string;
  readonly fuzz: (seed: number) => FuzzOutcome;
  /** Seeds that once found something: they are tried for ever. */
  readonly corpus: readonly number[];
  /** Streams that it says all of, of each connection on average, at the least: a fuzzer that gets to no answer tests little. */
  readonly completedEach: number;
};

const connectionErrors: readonly ErrorName[] = [
  'PROTOCOL_ERROR',
  'FLOW_CONTROL_ERROR',
  'STREAM_CLOSED',
  'FRAME_SIZE_ERROR',
  'COMPRESSION_ERROR',
  'ENHANCE_YOUR_CALM',
];

const sides: readonly Side[] = [
  { name: 'a server', fuzz: fuzzServer, corpus: [], completedEach: 1 },
  // Calls that never ended, a stream that ended below its window, and calls that heard of something after their end.
  { name: 'a client', fuzz: fuzzClient, corpus: [6, 68, 13_622], completedEach: 1 },
  { name: 'what is passed on', fuzz: fuzzPassThrough, corpus: [], completedEach: 0.3 },
];

it.each(sides)('survives seeds that once did it harm: $name', ({ fuzz, corpus }) => {
  expect(corpus.map((seed) => fuzz(seed))).toHaveLength(corpus.length);
});

it.each(sides)(
  'survives 5,000 connections of mutated frames, blames neither itself nor who keeps to the RFC, and holds nothing afterwards: $name',
  ({ fuzz, completedEach }) => {
    const reached = new Reached();
    for (let seed = 0; seed < 5_000; seed++) reached.add(fuzz(seed));
    expect(reached.count('alive')).toBeGreaterThan(1_500);
    for (const error of connectionErrors) expect(reached.count(`ended with ${error}`)).toBeGreaterThan(5);
    for (const error of ['PROTOCOL_ERROR', 'STREAM_CLOSED'])
      expect(reached.count(`reset ${error}`)).toBeGreaterThan(50);
    expect(reached.completedEach).toBeGreaterThan(completedEach);
  },
);
