import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LookupAdmission } from '../../sidecar/guard/lookup-admission.ts';
import { sidecarLimits } from '../../sidecar/limits.ts';
import { MemoryAnswers } from '../../sidecar/lookup/memory-answers.ts';
import { SidecarResolver } from '../../sidecar/lookup/sidecar-resolver.ts';
import { SnapshotMemory } from '../../sidecar/snapshot/snapshot-memory.ts';
import { Subscriptions } from '../../sidecar/sync/subscriptions.ts';
import { TenantSync } from '../../sidecar/sync/tenant-sync.ts';
import { DomainError } from '../../src/domain/domain-error.ts';
import {
  BatchResolveRequest,
  BatchResolveResponse,
  ResolveRequest,
  ResolveResponse,
  type ResolveResult,
  ResolverServiceService,
} from '../../src/gen/trafficmanager/v1/resolver_service.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { framedAnswer } from '../../src/platform/grpc/framed-answer.ts';
import { resolverInstants } from '../../src/serving/instant-answers.ts';
import { resolverHandlers } from '../../src/serving/resolver-service.ts';
import { decodeRequest } from '../../src/wire/decode-request.ts';
import { createRoute, exampleKey } from '../fakes/example-configuration.ts';
import { attribute, exact, exampleRule, prefix, regex } from '../fakes/example-traffic-policy.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { callContext } from '../fakes/sidecar-call-context.ts';
import { SidecarHistory } from '../fakes/sidecar-history.ts';
import { SidecarScriptedSource } from '../fakes/sidecar-scripted-source.ts';

const services = ['plain', 'split', 'rules', 'default', 'off'] as const;

/** A tenant with every kind of choice. */
function historyOfChoices(): SidecarHistory {
  const history = new SidecarHistory('acme');
  for (const service of services)
    for (const version of ['v1', 'v2', '3.0.1']) history.commit(createRoute(exampleKey(version, { service })));
  const set = (service: string, value: object): void => {
    const policy = { defaultVersion: '', split: [], rules: [], ...value };
    history.commit({
      kind: 'set_traffic_policy',
      key: exampleKey('v1', { service }),
      value: policy,
      etag: '',
    } as never);
  };
  const split = [
    { version: 'v1', weight: 3 },
    { version: 'v2', weight: 1 },
  ];
  set('split', { split });
  set('default', { defaultVersion: '3.0.1' });
  set('rules', {
    defaultVersion: 'v1',
    rules: [
      exampleRule({ name: 'beta', attributes: [attribute('group', exact('beta'))], version: 'v2', split: [] }),
      exampleRule({ name: '', attributes: [attribute('region', regex('eu-.*'))], version: '', split }),
      exampleRule({ attributes: [attribute('__proto__', prefix('x'))], version: '3.0.1', split: [] }),
    ],
  });
  history.commit({ kind: 'set_route_state', key: exampleKey('v1', { service: 'off' }), state: 'INACTIVE', etag: '' });
  return history;
}

async function startMemory() {
  const clock = new FakeClock();
  const controlPlane = { takesMs: 0 };
  const source = new SidecarScriptedSource();
  const memory = new SnapshotMemory({ bytesMax: 10_000_000 });
  const logger = createLogger('sidecar', 'silent');
  const subscriptions = new Subscriptions({
    scope: { tenants: ['acme'], onDemand: false },
    clock,
    start: (tenant) =>
      new TenantSync({ tenant, memory: memory.tenant(tenant), source, clock, random: () => 1, logger }),
    release: () => {},
  });
  const following = await source.following(1);
  following.tell((sink) => sink.snapshot(historyOfChoices().snapshot(), 250));
  const askControlPlane = async (): Promise<never> => {
    await Promise.resolve();
    clock.advance(controlPlane.takesMs);
    throw new DomainError('CONTROL_PLANE_UNAVAILABLE', 'nobody is asked');
  };
  const handlers = resolverHandlers(
    new SidecarResolver({
      subscriptions,
      askControlPlane,
      admission: new LookupAdmission(sidecarLimits.admission),
      clock,
      random: () => 0.25,
    }),
    clock,
  );
  const instants = resolverInstants(new MemoryAnswers({ subscriptions, random: () => 0.25 }), clock);
  return { handlers, instants, controlPlane, [Symbol.asyncDispose]: () => subscriptions[Symbol.asyncDispose]() };
}

const word = fc.constantFrom(
  '',
  'acme',
  'plain',
  'split',
  'production',
  'v1',
  'beta',
  'eu-1',
  'x',
  'é',
  '\u0007',
  'a'.repeat(300),
);
const lookup: fc.Arbitrary<ResolveRequest> = fc.record({
  key: fc.option(
    fc.record({
      tenant: fc.oneof({ weight: 9, arbitrary: fc.constant('acme') }, word),
      service: fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...services) }, word),
      environment: fc.oneof({ weight: 9, arbitrary: fc.constant('production') }, word),
      version: fc.oneof({ weight: 9, arbitrary: fc.constantFrom('', 'v1', 'v2', '3.0.1', 'v9') }, word),
    }),
    { nil: undefined, freq: 20 },
  ),
  hashKey: fc.oneof(word, fc.string({ maxLength: 5 })),
  attributes: fc.dictionary(fc.constantFrom('group', 'region', '__proto__', 'constructor', '', 'é'), word, {
    maxKeys: 3,
  }),
  method: word,
  consistency: fc.option(
    fc.record({
      requirement: fc.constantFrom(
        undefined,
        { $case: 'minRevision' as const, value: 3n },
        { $case: 'minRevision' as const, value: -1n },
        { $case: 'maxStaleness' as const, value: { seconds: 0n, nanos: 250_000_000 } },
        { $case: 'maxStaleness' as const, value: { seconds: -1n, nanos: 0 } },
        { $case: 'strong' as const, value: false },
        { $case: 'strong' as const, value: true },
      ),
    }),
    { nil: undefined, freq: 3 },
  ),
  at: fc.constant(undefined),
});

/** Bytes as a client sends them, and as one with a grudge does: cut off, with a bit turned, or one message after the other. */
const bytes: fc.Arbitrary<Buffer> = fc
  .record({ message: lookup, other: lookup, harm: fc.nat({ max: 9 }), at: fc.nat(), bit: fc.nat({ max: 7 }) })
  .map(({ message, other, harm, at, bit }) => {
    const sent = Buffer.from(ResolveRequest.encode(message).finish());
    if (harm === 0) return sent.subarray(0, at % (sent.length + 1));
    if (harm === 1 && sent.length > 0) sent[at % sent.length] = (sent[at % sent.length] ?? 0) ^ (1 << bit);
    return harm === 2 ? Buffer.concat([sent, ResolveRequest.encode(other).finish()]) : sent;
  });

test('what memory answers at once is what the resolver answers, and nothing that the resolver refuses', async () => {
  await using memory = await startMemory();
  const { handlers, instants } = memory;
  let answered = 0;
  await fc.assert(
    fc.asyncProperty(bytes, async (request) => {
      const frame = framedAnswer(instants.resolve!, request);
      if (!Buffer.isBuffer(frame)) return;
      answered++;
      const decoded = decodeRequest(ResolverServiceService.resolve.requestDeserialize, request);
      // Nobody is left who could answer what takes longer than this.
      const answer = await handlers.resolve(decoded, callContext({ deadlineMs: 0 }));
      expect(frame.readUInt32BE(1)).toBe(frame.length - 5);
      expect(ResolveResponse.decode(frame.subarray(5))).toEqual(ResolveResponse.decode(answer as Uint8Array));
    }),
    { numRuns: 20_000 },
  );
  // Else this would prove nothing.
  expect(answered).toBeGreaterThan(500);
});

type Memory = Awaited<ReturnType<typeof startMemory>>;

/** A batch as a front answers it: at once, begun at once and completed by the handler, or by the handler alone. */
async function answerBatch({ handlers, instants }: Memory, request: Buffer) {
  const answer = instants.batchResolve && framedAnswer(instants.batchResolve, request);
  if (Buffer.isBuffer(answer)) {
    expect(answer.readUInt32BE(1)).toBe(answer.length - 5);
    return { kind: 'at once', rest: 0, results: BatchResolveResponse.decode(answer.subarray(5)).results } as const;
  }
  const { requestDeserialize } = ResolverServiceService.batchResolve;
  const message = decodeRequest(requestDeserialize, answer?.rest ?? request);
  // Nobody is left who could answer what takes longer than this.
  const response = (await handlers.batchResolve(message, callContext({ deadlineMs: 0 }))) as Uint8Array;
  const { results } = BatchResolveResponse.decode(answer?.complete(response) ?? response);
  return { kind: answer === undefined ? 'handled' : 'begun', rest: message.requests.length, results } as const;
}

async function answerEach(memory: Memory, requests: readonly ResolveRequest[]): Promise<ResolveResult[]> {
  const results: ResolveResult[] = [];
  for (const request of requests) {
    const single = BatchResolveRequest.encode({ requests: [request] }).finish();
    results.push(...(await answerBatch(memory, Buffer.from(single))).results);
  }
  return results;
}

/** Half of them as memory answers them, so that there are batches of all kinds. */
const lookups = fc.array(fc.oneof(lookup, lookup.map(plainly)), { minLength: 1, maxLength: 40 });

function plainly(message: ResolveRequest, index = message.method.length): ResolveRequest {
  const key = { tenant: 'acme', service: 'plain', environment: 'production', version: index % 2 === 0 ? 'v1' : 'v2' };
  return { ...message, key, consistency: undefined, hashKey: '', attributes: {}, method: '' };
}

test('a batch is answered as its lookups one by one are, and only those that memory does not answer take the long way', async () => {
  await using memory = await startMemory();
  const seen = { 'at once': 0, begun: 0, handled: 0 };
  await fc.assert(
    fc.asyncProperty(lookups, async (requests) => {
      const bytes = Buffer.from(BatchResolveRequest.encode({ requests }).finish());
      const { kind, rest, results } = await answerBatch(memory, bytes);
      seen[kind]++;
      expect(results).toEqual(await answerEach(memory, requests));
      const missed = requests.filter(
        (request) =>
          framedAnswer(memory.instants.resolve!, Buffer.from(ResolveRequest.encode(request).finish())) === undefined,
      );
      expect(rest).toBe(missed.length);
    }),
    { numRuns: 1_000, endOnFailure: true },
  );
  // Else this would prove nothing.
  expect(Math.min(...Object.values(seen))).toBeGreaterThan(50);
});

test('a batch is answered as the decoder and the handler answer it, whole or cut off', async () => {
  await using memory = await startMemory();
  let begun = 0;
  const sent = fc
    .record({ requests: lookups, at: fc.nat(), bit: fc.nat({ max: 7 }), harm: fc.nat({ max: 3 }) })
    .map(({ requests, at, bit, harm }) => {
      const message = Buffer.from(BatchResolveRequest.encode({ requests }).finish());
      if (harm === 0) return message.subarray(0, at % (message.length + 1));
      if (harm === 1) message[at % message.length] = (message[at % message.length] ?? 0) ^ (1 << bit);
      return harm === 2 ? Buffer.concat([message, Buffer.from([0x10, 1])]) : message;
    });
  await fc.assert(
    fc.asyncProperty(sent, async (request) => {
      // What the decoder takes for a message though it is none, it may take for another one when some of its lookups are left out.
      if (!isWellFormed(request)) return;
      const outcome = await answerBatch(memory, request).catch(messageOf);
      const handled = await answerBatch({ ...memory, instants: {} }, request).catch(messageOf);
      if (typeof outcome !== 'string' && outcome.kind === 'begun') begun++;
      const said = [outcome, handled].map((each) => (typeof each === 'string' ? each : each.results));
      expect(said[0]).toEqual(said[1]);
    }),
    { numRuns: 1_000, endOnFailure: true },
  );
  expect(begun).toBeGreaterThan(50);
});

function isWellFormed(request: Buffer): boolean {
  try {
    const message = decodeRequest(ResolverServiceService.batchResolve.requestDeserialize, request);
    return request.equals(BatchResolveRequest.encode(message).finish());
  } catch {
    return false;
  }
}

test('a batch of which a lookup does not end where it says is refused, and costs no other', async () => {
  await using memory = await startMemory();
  const [held] = fc.sample(lookup, { numRuns: 1, seed: 1 }).map((each) => plainly(each));
  const one = BatchResolveRequest.encode({ requests: held === undefined ? [] : [held] }).finish();
  // Field 3 ends as a group within the lookup, and what follows would be a lookup of its own.
  const spilling = Buffer.from([0x0a, 3, 0x1c, 0x0a, 0]);
  await expect(answerBatch(memory, Buffer.concat([one, spilling]))).rejects.toThrow('does not end where it says');
});

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

test('what memory answered of a batch is older by what the rest of it took', async () => {
  await using memory = await startMemory();
  memory.controlPlane.takesMs = 700;
  const [held, missing] = fc.sample(lookup, { numRuns: 2, seed: 1 }).map((each) => plainly(each));
  if (held === undefined || missing === undefined) throw new Error('two were drawn');
  const strong = { requirement: { $case: 'strong' as const, value: true } };
  const requests = [held, { ...missing, consistency: strong }, held];
  const { kind, results } = await answerBatch(memory, Buffer.from(BatchResolveRequest.encode({ requests }).finish()));
  expect(kind).toBe('begun');
  const answers = results.map(({ result }) => (result?.$case === 'response' ? result.value.freshness : result?.$case));
  expect(answers).toEqual([
    expect.objectContaining({ stalenessMs: 950n, stale: false }),
    'error',
    expect.objectContaining({ stalenessMs: 950n, stale: false }),
  ]);
});

test('a batch of as many as there may be, and one more', async () => {
  await using memory = await startMemory();
  const [held] = fc.sample(lookup, { numRuns: 1, seed: 1 }).map((each) => plainly(each));
  if (held === undefined) throw new Error('one was drawn');
  const most = Buffer.from(BatchResolveRequest.encode({ requests: Array(1_000).fill(held) as never }).finish());
  expect(await answerBatch(memory, most)).toMatchObject({ kind: 'at once', results: { length: 1_000 } });
  const one = BatchResolveRequest.encode({ requests: [held] }).finish();
  await expect(answerBatch(memory, Buffer.concat([most, one]))).rejects.toMatchObject({ reason: 'INVALID_FIELDS' });
});
