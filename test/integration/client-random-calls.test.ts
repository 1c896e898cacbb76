import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Any } from '../../src/gen/google/protobuf/any.ts';
import { Status } from '../../src/gen/google/rpc/status.ts';
import { type ChannelKind, channelKinds } from '../../src/client/channel.ts';
import { TrafficManagerError } from '../../src/client/index.ts';
import { createTransport, type Transport } from '../../src/client/transport.ts';
import { scriptedMethods, scriptField, startScriptedServer, type ServerScript } from '../support/scripted-server.ts';

/** How the caller ends a call that its server may hold: it reads to the end, leaves or aborts after some answers, or has no time. */
type Leaving = { readonly kind: 'none' | 'leave' | 'abort' | 'deadline'; readonly after: number };
type RandomCall = {
  readonly shape: keyof typeof scriptedMethods;
  readonly script: Omit<ServerScript, 'id'>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly requests: readonly number[];
  readonly leaving: Leaving;
};

/** Long enough for never. */
const noHurryMs = 60_000;
/** Short, for a server that never answers: whatever the machine does meanwhile, the call ends by it. */
const hurryMs = 30;

const bytes = fc.constantFrom(0, 1, 5, 100, 16_379, 16_384, 70_000, 300_000);
const printable = fc.string({ unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)) });
const name = fc.constantFrom('x-a', 'x-b.c', 'x_d', 'X-Upper', 'authorization', 'te', 'grpc-tags', 'x-1', 'accept');
const trailers = fc.record(
  {
    'x-correlation-id': fc.constantFrom('', 'c-1', 'a,b'),
    'grpc-status-details-bin': fc
      .record({ code: fc.nat(16), message: fc.string({ unit: 'grapheme' }), details: fc.constant<Any[]>([]) })
      .map((status) => Buffer.from(Status.encode(status).finish()).toString('base64')),
    'x-other-bin': fc.uint8Array({ maxLength: 300 }).map((value) => Buffer.from(value).toString('base64')),
  },
  { requiredKeys: [] },
);
const randomCall: fc.Arbitrary<RandomCall> = fc
  .record({
    shape: fc.constantFrom('unary', 'serverStream', 'duplex'),
    script: fc.record({
      answers: fc.array(bytes, { maxLength: 4 }),
      isHeld: fc.boolean(),
      code: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 16 })),
      details: fc.string({ unit: 'grapheme', maxLength: 40 }),
      trailers,
    }),
    metadata: fc.dictionary(name, printable, { maxKeys: 4 }),
    requests: fc.array(bytes, { minLength: 1, maxLength: 4 }),
    leaving: fc.record({ kind: fc.constantFrom('none', 'leave', 'abort', 'deadline'), after: fc.nat(4) }),
  })
  .map((call): RandomCall => {
    const { script, leaving, shape } = call;
    const after = shape === 'unary' ? 0 : Math.min(leaving.after, script.answers.length);
    const cannotLeave = leaving.kind === 'leave' && after === 0;
    // A call that is held is ended by its caller.
    const kind = cannotLeave || (script.isHeld && leaving.kind === 'none') ? 'deadline' : leaving.kind;
    // What would end a call that may have ended by itself would be a race.
    const isHeld = script.isHeld || kind === 'deadline' || (kind === 'abort' && after === script.answers.length);
    return { ...call, script: { ...script, isHeld }, leaving: { kind, after } };
  });

let newestId = 0;
let server: Awaited<ReturnType<typeof startScriptedServer>>;
let transports: Record<ChannelKind, Transport>;

beforeAll(async () => {
  server = await startScriptedServer();
  const over = (channel: ChannelKind): Transport => createTransport({ address: server.address, channel });
  transports = { 'grpc-js': over('grpc-js'), wire: over('wire') };
});

afterAll(() => {
  for (const kind of channelKinds) transports[kind].close();
  server[Symbol.dispose]();
});

async function* buffersOf(sizes: readonly number[]): AsyncGenerator<Buffer, void, void> {
  for (const size of sizes) yield Buffer.alloc(size, 'r');
}

/** All that its caller hears of a call, and what the server saw of it. */
async function heard(channel: ChannelKind, call: RandomCall): Promise<unknown> {
  const transport = transports[channel];
  const { shape, script, requests, leaving } = call;
  const id = newestId++;
  const metadata = {
    ...call.metadata,
    [scriptField]: Buffer.from(JSON.stringify({ ...script, id })).toString('base64'),
  };
  const controller = new AbortController();
  const timeoutMs = leaving.kind === 'deadline' ? hurryMs : noHurryMs;
  const options = { metadata, timeoutMs, signal: controller.signal };
  const answers: number[] = [];
  const abortIfDue = (): void => {
    if (leaving.kind === 'abort' && answers.length === leaving.after) controller.abort();
  };
  let end = 'end';
  try {
    if (shape === 'unary') {
      const answer = transport.unary(scriptedMethods.unary, Buffer.alloc(requests[0] ?? 0), options);
      abortIfDue();
      answers.push((await answer).length);
    } else {
      const stream =
        shape === 'serverStream'
          ? transport.serverStream(scriptedMethods.serverStream, Buffer.alloc(requests[0] ?? 0), options)
          : transport.duplex(scriptedMethods.duplex, buffersOf(requests), options);
      abortIfDue();
      for await (const answer of stream) {
        answers.push(answer.length);
        if (leaving.kind === 'leave' && answers.length === leaving.after) break;
        abortIfDue();
      }
    }
  } catch (error) {
    if (!(error instanceof TrafficManagerError)) throw error;
    // What a client says of its own failures may differ.
    const isSaid = leaving.kind === 'none';
    end = JSON.stringify([error.code, isSaid ? error.message : '', error.correlationId, error.reason, error.metadata]);
  }
  const seen = server.calls.filter((each) => each.id === id);
  return {
    // How many come before a deadline is the machine's affair.
    answers: leaving.kind === 'deadline' ? [] : answers,
    end,
    // A call that was left may not have come to its server, or not all of it.
    seen: leaving.kind === 'none' ? seen.map(({ metadata, requestBytes }) => [withoutOwn(metadata), requestBytes]) : [],
  };
}

/** What clients say of themselves may differ. */
function withoutOwn({ 'user-agent': _own, ...metadata }: Record<string, unknown>): Record<string, unknown> {
  return metadata;
}

it(
  'callers hear the same over wire as over grpc-js, whatever they and the server do',
  { timeout: 300_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(randomCall, async (call) => {
        expect(await heard('wire', call)).toEqual(await heard('grpc-js', call));
      }),
      { numRuns: Number(process.env['RANDOM_CALLS'] ?? 150), seed: 20261122 },
    );
  },
);
