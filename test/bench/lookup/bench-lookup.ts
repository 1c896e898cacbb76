import CircuitBreaker from 'opossum';
import { controlPlaneGuard, sidecarLimits } from '../../../sidecar/limits.ts';
import { LookupAdmission } from '../../../sidecar/guard/lookup-admission.ts';
import { MemoryAnswers } from '../../../sidecar/lookup/memory-answers.ts';
import { SidecarResolver } from '../../../sidecar/lookup/sidecar-resolver.ts';
import { SnapshotMemory } from '../../../sidecar/snapshot/snapshot-memory.ts';
import { Subscriptions } from '../../../sidecar/sync/subscriptions.ts';
import { TenantSync } from '../../../sidecar/sync/tenant-sync.ts';
import { LookupUsage } from '../../../sidecar/usage/lookup-usage.ts';
import type { Change } from '../../../src/domain/change.ts';
import { ResolveRequest, ResolverServiceService } from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import { systemClock as clock } from '../../../src/platform/clock.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { resolverInstants } from '../../../src/serving/instant-answers.ts';
import { resolverHandlers } from '../../../src/serving/resolver-service.ts';
import { decodeRequest } from '../../../src/wire/decode-request.ts';
import { LookupReader } from '../../../src/wire/lookup-reader.ts';
import { callContext } from '../../fakes/sidecar-call-context.ts';
import { SidecarScriptedSource } from '../../fakes/sidecar-scripted-source.ts';
import type { BenchOptions } from '../bench-options.ts';
import { median, printTable } from '../report.ts';
import { benchKey, benchRoute } from '../resolve/bench-routes.ts';

type Run = { readonly name: string; readonly count: number; readonly once: (index: number) => unknown };

/** What a lookup takes inside the process, without gRPC: its parts, at once and through the resolver; a change; a circuit breaker. */
export async function benchLookup({ rounds, routes }: BenchOptions): Promise<void> {
  const { instants, handlers, memory } = await startMemory(routes);
  const requests = Array.from({ length: 1_000 }, (_, index) => requestOf((index * 7_919) % routes));
  const at = (index: number): Buffer => requests[index % requests.length] ?? Buffer.alloc(0);
  const reader = new LookupReader();
  const decode = (bytes: Buffer) => decodeRequest(ResolverServiceService.resolve.requestDeserialize, bytes);
  const context = callContext();
  let revision = memory.position.revision;
  const guard = { timeout: controlPlaneGuard.timeoutMs, resetTimeout: 600_000, enableSnapshots: false };
  const closed = new CircuitBreaker(async () => await Promise.resolve(1), guard);
  const open = new CircuitBreaker(async () => await Promise.resolve(1), guard);
  open.open();
  const runs: readonly Run[] = [
    { name: 'a request read', count: 200_000, once: (n) => reader.read(at(n), 0, at(n).length) },
    { name: 'a request decoded', count: 50_000, once: (n) => decode(at(n)) },
    { name: 'a lookup answered at once, bytes to frame', count: 200_000, once: (n) => instants.resolve?.(at(n)) },
    { name: 'of that, counting it for the usage report', count: 1_000_000, once: countLookups() },
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
    { name: 'a call', count: 50_000, once: async () => await Promise.resolve(1) },
    { name: 'a call through a closed breaker (opossum)', count: 50_000, once: async () => await closed.fire() },
    { name: 'a call refused by an open one', count: 50_000, once: async () => await open.fire().catch(() => 0) },
  ];
  const rows: (string | number)[][] = [];
  for (const run of runs) {
    await measure(run);
    const figures: { ns: number; bytes: number }[] = [];
    for (let round = 0; round < rounds; round++) figures.push(await measure(run));
    rows.push([run.name, '', median(figures.map(({ ns }) => ns)), median(figures.map(({ bytes }) => bytes))]);
  }
  printTable(['what', '', 'ns of CPU', 'bytes of heap'], rows);
}

async function measure({ count, once }: Run): Promise<{ ns: number; bytes: number }> {
  const heapBefore = process.memoryUsage().heapUsed;
  const before = process.cpuUsage();
  for (let index = 0; index < count; index++) {
    const result = once(index);
    if (result instanceof Promise) await result;
  }
  const { user, system } = process.cpuUsage(before);
  // Of all threads: the collector's work counts. Time that others take of the machine does not.
  const ns = ((user + system) * 1_000) / count;
  // A collection in between takes some away: the largest of the rounds is nearest.
  return { ns, bytes: Math.max(0, process.memoryUsage().heapUsed - heapBefore) / count };
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
  following.tell((sink) => sink.snapshot({ position, routes: held, policies: [] }, 0));
  const resolver = new SidecarResolver({
    subscriptions,
    askControlPlane: () => Promise.reject(new Error('nobody is asked')),
    admission: new LookupAdmission(sidecarLimits.admission),
    clock,
    random: Math.random,
  });
  const instants = resolverInstants(new MemoryAnswers({ subscriptions, random: Math.random }));
  return { instants, handlers: resolverHandlers(resolver), memory: memory.tenant('bench') };
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

function requestOf(index: number): Buffer {
  return Buffer.from(ResolveRequest.encode({ key: benchKey(index), hashKey: '', attributes: {}, method: '' }).finish());
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
