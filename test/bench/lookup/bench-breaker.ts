import CircuitBreaker from 'opossum';
import type { BreakerState } from '../../../sidecar/guard/circuit-breaker.ts';
import { LookupAdmission } from '../../../sidecar/guard/lookup-admission.ts';
import { RetryBudget } from '../../../sidecar/guard/retry-budget.ts';
import { controlPlaneGuard, sidecarLimits } from '../../../sidecar/limits.ts';
import { createAskControlPlane } from '../../../sidecar/lookup/ask-control-plane.ts';
import { MemoryAnswers } from '../../../sidecar/lookup/memory-answers.ts';
import { RememberedAnswers } from '../../../sidecar/lookup/remembered-answers.ts';
import { SidecarResolver } from '../../../sidecar/lookup/sidecar-resolver.ts';
import { SnapshotMemory } from '../../../sidecar/snapshot/snapshot-memory.ts';
import { Subscriptions } from '../../../sidecar/sync/subscriptions.ts';
import { TenantSync } from '../../../sidecar/sync/tenant-sync.ts';
import { TrafficManagerError } from '../../../src/client/traffic-manager-error.ts';
import type { Lookup } from '../../../src/domain/resolve.ts';
import {
  FreshnessSource,
  ResolveRequest,
  ResolveResponse,
} from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import { systemClock as clock } from '../../../src/platform/clock.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { framedAnswer } from '../../../src/platform/grpc/framed-answer.ts';
import { resolverInstants } from '../../../src/serving/instant-answers.ts';
import { routeToWire } from '../../../src/wire/route-wire.ts';
import { callContext } from '../../fakes/sidecar-call-context.ts';
import { SidecarScriptedSource } from '../../fakes/sidecar-scripted-source.ts';
import type { BenchOptions } from '../bench-options.ts';
import { printFigures } from '../measure.ts';
import { benchKey, benchRoute } from '../resolve/bench-routes.ts';

/** A call through opossum, and lookups beside a control plane that answers at once, and one that is out of reach. */
export async function benchBreaker({ rounds, routes }: BenchOptions): Promise<void> {
  const guard = { timeout: controlPlaneGuard.timeoutMs, resetTimeout: 600_000, enableSnapshots: false };
  const settings = { ...guard, rollingPercentilesEnabled: false };
  const closed = new CircuitBreaker(async () => await Promise.resolve(1), settings);
  const open = new CircuitBreaker(async () => await Promise.resolve(1), settings);
  open.open();
  const answering = await startSidecar(routes, true);
  const failing = await startSidecar(routes, false);
  // Enough failures to open it; every two seconds one more call is let through.
  while (failing.state() !== 'open') await failing.miss();
  await printFigures(rounds, [
    { name: 'a call', count: 50_000, once: async () => await Promise.resolve(1) },
    { name: 'a call through a closed breaker (opossum)', count: 50_000, once: async () => await closed.fire() },
    { name: 'a call refused by an open one', count: 50_000, once: async () => await open.fire().catch(() => 0) },
    { name: 'a held route, breaker closed', count: 200_000, once: (n) => answering.held(n) },
    { name: 'a held route, breaker open', count: 200_000, once: (n) => failing.held(n) },
    { name: 'a miss, breaker closed', count: 10_000, once: async () => await answering.miss() },
    { name: 'a miss, breaker open', count: 10_000, once: async () => await failing.miss() },
  ]);
  if (failing.state() === 'closed' || answering.state() !== 'closed') throw new Error('a breaker changed its mind');
}

/** Of one tenant and the services that hold the routes: any other service is a miss. */
async function startSidecar(routes: number, isReachable: boolean) {
  const source = new SidecarScriptedSource();
  const logger = createLogger('bench', 'silent');
  const held = Array.from({ length: routes }, (_, index) => benchRoute(index));
  const memory = new SnapshotMemory({
    bytesMax: 256 * 1024 * 1024,
    services: new Set(held.map(({ key }) => key.service)),
  });
  const start = (tenant: string): TenantSync =>
    new TenantSync({ tenant, memory: memory.tenant(tenant), source, clock, random: Math.random, logger });
  const subscriptions = new Subscriptions({
    scope: { tenants: ['bench'], onDemand: false },
    start,
    release: () => {},
    clock,
  });
  const following = await source.following(1);
  const position = { revision: routes + 1, commitId: 'bench' };
  following.tell((sink) => sink.snapshot({ position, routes: held, policies: [] }, 0));
  let state: BreakerState = 'closed';
  const ask = createAskControlPlane({
    client: { resolver: { resolve: isReachable ? answer : refuse } } as never,
    clock,
    random: Math.random,
    budget: new RetryBudget(controlPlaneGuard.retryBudget),
    logger,
    onBreakerState: (next) => {
      state = next;
    },
  });
  const resolver = new SidecarResolver({
    subscriptions,
    askControlPlane: new RememberedAnswers({ ask, clock }).ask,
    admission: new LookupAdmission(sidecarLimits.admission),
    clock,
    random: Math.random,
  });
  const instants = resolverInstants(new MemoryAnswers({ subscriptions, random: Math.random }), clock);
  const requests = Array.from({ length: 1_000 }, (_, index) => {
    const request = { key: benchKey((index * 7_919) % routes), hashKey: '', attributes: {}, method: '' };
    return Buffer.from(ResolveRequest.encode(request).finish());
  });
  const context = callContext();
  let misses = 0;
  const miss = async (): Promise<unknown> => {
    const lookup: Lookup = { ...benchKey(0), service: `other-${++misses}`, hashKey: '', attributes: {}, method: '' };
    return await resolver.resolve(lookup, { kind: 'eventual' }, context).catch(() => undefined);
  };
  return {
    state: () => state,
    held: (n: number) => framedAnswer(instants.resolve!, requests[n % 1_000] as Buffer),
    miss,
  };
}

const answered = ResolveResponse.decode(
  ResolveResponse.encode({
    ...ResolveResponse.decode(new Uint8Array()),
    route: routeToWire(benchRoute(0)),
    freshness: { source: FreshnessSource.FRESHNESS_SOURCE_SNAPSHOT, revision: 2n, stalenessMs: 0n, stale: false },
  }).finish(),
);

async function answer(): Promise<ResolveResponse> {
  return await Promise.resolve(answered);
}

async function refuse(): Promise<never> {
  return await Promise.reject(new TrafficManagerError({ code: 'UNAVAILABLE', message: 'out of reach' }));
}
