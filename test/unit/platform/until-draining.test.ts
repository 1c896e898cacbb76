import { expect, test } from 'vitest';
import { untilDraining } from '../../../src/platform/grpc/until-draining.ts';

const gone = new Error('shutting down');

/** What was taken of some messages, and how it ended. */
async function take(messages: AsyncIterable<number>, draining: AbortController, abortAt?: number) {
  const taken: number[] = [];
  const run = async (): Promise<string> => {
    for await (const message of untilDraining(messages, { draining: draining.signal, shuttingDown: () => gone })) {
      taken.push(message);
      if (message === abortAt) draining.abort();
    }
    return 'all said';
  };
  const end = await run().catch((error: unknown) => error);
  return { taken, end };
}

async function* endless(count: number): AsyncGenerator<number> {
  for (let message = 1; message <= count; message++) yield message;
  await new Promise(() => {});
}

test('takes all messages when nothing shuts down, and ends as they do', async () => {
  async function* three(): AsyncGenerator<number> {
    yield* [1, 2, 3];
  }
  expect(await take(three(), new AbortController())).toEqual({ taken: [1, 2, 3], end: 'all said' });
});

test('takes what has come when the server begins to shut down, and then ends, though the caller means to say more', async () => {
  expect(await take(endless(1_000), new AbortController(), 3)).toEqual({
    taken: Array.from({ length: 1_000 }, (_none, index) => index + 1),
    end: gone,
  });
});

test('ends a stream that is silent when the server begins to shut down', async () => {
  const draining = new AbortController();
  const taking = take(endless(2), draining);
  setImmediate(() => draining.abort());
  expect(await taking).toEqual({ taken: [1, 2], end: gone });
});

test('ends as its caller does, who has said all by then', async () => {
  async function* three(): AsyncGenerator<number> {
    yield* [1, 2, 3];
  }
  expect(await take(three(), new AbortController(), 1)).toEqual({ taken: [1, 2, 3], end: 'all said' });
});

test('ends a caller that never stops', async () => {
  async function* always(): AsyncGenerator<number> {
    for (let message = 1; ; message++) yield message;
  }
  const { taken, end } = await take(always(), new AbortController(), 1);
  expect(end).toBe(gone);
  expect(taken.length).toBeLessThan(20_000);
});
