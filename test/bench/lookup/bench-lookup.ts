import { sidecarLimits } from '../../../sidecar/limits.ts';
import { LookupAdmission } from '../../../sidecar/guard/lookup-admission.ts';
import { MemoryAnswers } from '../../../sidecar/lookup/memory-answers.ts';
import { SidecarResolver } from '../../../sidecar/lookup/sidecar-resolver.ts';
import { SnapshotMemory } from '../../../sidecar/snapshot/snapshot-memory.ts';
import { Subscriptions } from '../../../sidecar/sync/subscriptions.ts';
import { TenantSync } from '../../../sidecar/sync/tenant-sync.ts';
import { LookupUsage } from '../../../sidecar/usage/lookup-usage.ts';
import type { Change } from '../../../src/domain/change.ts';
import type { Route, RouteKey } from '../../../src/domain/route.ts';
import type { TrafficPolicy } from '../../../src/domain/traffic-policy.ts';
import {
  BatchResolveRequest,
  ResolveRequest,
  ResolverServiceService,
} from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import { systemClock as clock } from '../../../src/platform/clock.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { framedAnswer } from '../../../src/platform/grpc/framed-answer.ts';
import { resolverInstants } from '../../../src/serving/instant-answers.ts';
import { resolverHandlers } from '../../../src/serving/resolver-service.ts';
import { decodeRequest } from '../../../src/wire/decode-request.ts';
import { LookupReader } from '../../../src/wire/lookup-reader.ts';
import { attribute, exact, exampleRule } from '../../fakes/example-traffic-policy.ts';
import { callContext } from '../../fakes/sidecar-call-context.ts';
import { SidecarScriptedSource } from '../../fakes/sidecar-scripted-source.ts';
import type { BenchOptions } from '../bench-options.ts';
import { printFigures, type Run } from '../measure.ts';
import { benchKey, benchRoute } from '../resolve/bench-routes.ts';

/** What a lookup takes inside the process, without gRPC: its parts, at once and through the resolver; a change; a circuit breaker. */
export async function benchLookup({ rounds, routes }: BenchOptions): Promise<void> {
  const { instants, handlers, memory } = await startMemory(routes);
  const requests = Array.from({ length: 1_000 }, (_, index) => requestOf(benchKey((index * 7_919) % routes)));
  const at = (index: number): Buffer => requests[index % requests.length] ?? Buffer.alloc(0);
  // More than the caches of a processor hold: what lookups of any key at any time cost.
  const all = Array.from({ length: routes }, (_, index) => requestOf(benchKey((index * 7_919) % routes)));
  const reader = new LookupReader();
  const decode = (bytes: Buffer) => decodeRequest(ResolverServiceService.resolve.requestDeserialize, bytes);
  const context = callContext();
  let revision = memory.position.revision;
  const atOnce = (name: string, fields: Partial<ResolveRequest>): Run => {
    const request = requestOf({ ...benchKey(0), service: 'chosen', version: '' }, fields);
    if (!Buffer.isBuffer(framedAnswer(instants.resolve!, request))) throw new Error(`${name} is not answered at once`);
    return { name: `a lookup at once, ${name}`, count: 200_000, once: () => framedAnswer(instants.resolve!, request) };
  };
  const batch = BatchResolveRequest.encode({
    requests: requests.slice(0, 16).map((each) => ResolveRequest.decode(each)),
  });
  const sixteen = Buffer.from(batch.finish());
  await printFigures(rounds, [
    { name: 'a request read', count: 200_000, once: (n) => reader.read(at(n), 0, at(n).length) },
    { name: 'a request decoded', count: 50_000, once: (n) => decode(at(n)) },
    { name: 'a lookup at once, bytes to frame', count: 200_000, once: (n) => framedAnswer(instants.resolve!, at(n)) },
    {
      name: 'the same, of all routes in turn',
      count: 200_000,
      once: (n) => framedAnswer(instants.resolve!, all[n % routes]!),
    },
    { name: 'a lookup counted for the usage report', count: 1_000_000, once: countLookups() },
    { name: 'a batch of 16 at once', count: 20_000, once: () => framedAnswer(instants.batchResolve!, sixteen) },
    atOnce('split of 2 by chance', {}),
    atOnce('split of 2 by hash key', { hashKey: 'customer-4711' }),
    atOnce('the third match rule', { attributes: { group: 'beta' } }),
    {
      name: 'a lookup through the resolver, bytes to bytes',
      count: 20_000,
      once: async (n) => await handlers.resolve(decode(at(n)), context),
    },
    {
      name: 'a change applied',
      count: 5_000,
      once: (n) => {
        revision++;
        const change = changeOf((n * 7_919) % routes, revision);
        memory.advance({ changes: [change], position: { revision, commitId: 'bench' }, coalescedAfter: undefined });
      },
    },
  ]);
}

async function startMemory(routes: number) {
  const source = new SidecarScriptedSource();
  const memory = new SnapshotMemory({ bytesMax: 256 * 1024 * 1024 });
  const logger = createLogger('bench', 'silent');
  const start = (tenant: string): TenantSync =>
    new TenantSync({ tenant, memory: memory.tenant(tenant), source, clock, random: Math.random, logger });
  const scope = { tenants: ['bench'], onDemand: false };
  const subscriptions = new Subscriptions({ scope, start, release: () => {}, clock });
  const following = await source.following(1);
  const position = { revision: routes + 1, commitId: 'bench' };
  const held = Array.from({ length: routes }, (_, index) => benchRoute(index));
  following.tell((sink) => sink.snapshot({ position, ...withChoices(held) }, 0));
  const resolver = new SidecarResolver({
    subscriptions,
    askControlPlane: () => Promise.reject(new Error('nobody is asked')),
    admission: new LookupAdmission(sidecarLimits.admission),
    clock,
    random: Math.random,
  });
  const instants = resolverInstants(new MemoryAnswers({ subscriptions, random: Math.random }), clock);
  return { instants, handlers: resolverHandlers(resolver, clock), memory: memory.tenant('bench') };
}

/** With one more service, whose policy splits, and before it asks three match rules. */
function withChoices(routes: readonly Route[]): { routes: readonly Route[]; policies: readonly TrafficPolicy[] } {
  const key = { tenant: 'bench', service: 'chosen', environment: 'production' };
  const chosen = ['v1', 'v2'].map((version) => ({ ...benchRoute(0), key: { ...key, version } }));
  const split = [
    { version: 'v1', weight: 3 },
    { version: 'v2', weight: 1 },
  ];
  const rules = ['alpha', 'gamma', 'beta'].map((group) =>
    exampleRule({ attributes: [attribute('group', exact(group))], version: 'v2', split: [] }),
  );
  const { revision, etag, createTimeMs, updateTimeMs, updatedBy } = benchRoute(0);
  const policy = { key, defaultVersion: '', split, rules, revision, etag, createTimeMs, updateTimeMs, updatedBy };
  return { routes: [...routes, ...chosen], policies: [policy] };
}

/** Of 1,000 groups in turn, with a text of its own for each version, as requests have. */
function countLookups(): (index: number) => void {
  const usage = new LookupUsage();
  const groups = Array.from({ length: 1_000 }, (_, index) => ({ key: benchKey(index), group: { usage: undefined } }));
  const versions = groups.map(({ key }) => Buffer.from(key.version).toString('latin1'));
  return (index) => {
    const counted = groups[index % groups.length];
    if (counted !== undefined) usage.count(counted.key, versions[index % versions.length] ?? '', counted.group);
  };
}

function requestOf(key: RouteKey, fields: Partial<ResolveRequest> = {}): Buffer {
  const request = { key, hashKey: '', attributes: {}, method: '', consistency: undefined, at: undefined, ...fields };
  return Buffer.from(ResolveRequest.encode(request).finish());
}

function changeOf(index: number, revision: number): Change {
  const route = benchRoute(index);
  return {
    tenant: 'bench',
    revision,
    commitRevision: revision,
    commitId: 'bench',
    action: 'UPDATED',
    actor: 'bench',
    correlationId: 'bench',
    commitTimeMs: revision,
    subject: { kind: 'route', before: route, after: { ...route, revision } },
  };
}
