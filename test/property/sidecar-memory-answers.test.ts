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
  ResolverServiceService,
} from '../../src/gen/trafficmanager/v1/resolver_service.ts';
import { createLogger } from '../../src/platform/logger.ts';
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
  const askControlPlane = () => Promise.reject(new DomainError('CONTROL_PLANE_UNAVAILABLE', 'nobody is asked'));
  const handlers = resolverHandlers(
    new SidecarResolver({
      subscriptions,
      askControlPlane,
      admission: new LookupAdmission(sidecarLimits.admission),
      clock,
      random: () => 0.25,
    }),
  );
  const instants = resolverInstants(new MemoryAnswers({ subscriptions, random: () => 0.25 }));
  return { handlers, instants, [Symbol.asyncDispose]: () => subscriptions[Symbol.asyncDispose]() };
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
      const frame = instants.resolve?.(request);
      if (frame === undefined) return;
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

test('a batch is answered at once when every lookup of it is, each in its place', async () => {
  await using memory = await startMemory();
  const { handlers, instants } = memory;
  let answered = 0;
  const key = fc.record({
    tenant: fc.constant('acme'),
    service: fc.constantFrom('plain', 'default', 'off'),
    environment: fc.constant('production'),
    version: fc.constantFrom('v1', 'v2', '3.0.1'),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(key, { maxLength: 40 }), async (keys) => {
      const requests = keys.map((each) => ({ key: each, hashKey: '', attributes: {}, method: '' }));
      const message: BatchResolveRequest = {
        requests: requests.map((each) => ({ ...each, consistency: undefined, at: undefined })),
      };
      const frame = instants.batchResolve?.(Buffer.from(BatchResolveRequest.encode(message).finish()));
      const allActive = keys.length > 0 && keys.every(({ service, version }) => service !== 'off' || version !== 'v1');
      expect(frame !== undefined).toBe(allActive);
      if (frame === undefined) return;
      answered++;
      const answer = (await handlers.batchResolve(message, callContext())) as BatchResolveResponse;
      expect(frame.readUInt32BE(1)).toBe(frame.length - 5);
      expect(BatchResolveResponse.decode(frame.subarray(5))).toEqual(
        BatchResolveResponse.decode(BatchResolveResponse.encode(answer).finish()),
      );
    }),
    { numRuns: 300 },
  );
  expect(answered).toBeGreaterThan(30);
});
