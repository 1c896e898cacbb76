import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LookupAdmission } from '../../sidecar/guard/lookup-admission.ts';
import { sidecarLimits } from '../../sidecar/limits.ts';
import type { AskControlPlane } from '../../sidecar/lookup/ask-control-plane.ts';
import { MemoryAnswers } from '../../sidecar/lookup/memory-answers.ts';
import { RememberedAnswers } from '../../sidecar/lookup/remembered-answers.ts';
import { SidecarResolver } from '../../sidecar/lookup/sidecar-resolver.ts';
import { SnapshotMemory } from '../../sidecar/snapshot/snapshot-memory.ts';
import { Subscriptions } from '../../sidecar/sync/subscriptions.ts';
import { TenantSync } from '../../sidecar/sync/tenant-sync.ts';
import { DomainError } from '../../src/domain/domain-error.ts';
import type { Mutation } from '../../src/domain/mutation.ts';
import { resolve } from '../../src/domain/resolve.ts';
import type { Route } from '../../src/domain/route.ts';
import { ResolveRequest, ResolveResponse } from '../../src/gen/trafficmanager/v1/resolver_service.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { framedAnswer } from '../../src/platform/grpc/framed-answer.ts';
import { resolverInstants } from '../../src/serving/instant-answers.ts';
import { createRoute, exampleKey, moveRoute } from '../fakes/example-configuration.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { callContext } from '../fakes/sidecar-call-context.ts';
import { rangeOf, SidecarHistory } from '../fakes/sidecar-history.ts';
import { SidecarScriptedSource } from '../fakes/sidecar-scripted-source.ts';

const services = Array.from({ length: 12 }, (_, index) => `service-${index}`);
const keyOf = (service: number) => exampleKey('v1', { service: services[service] ?? '' });

/** What happens to one service, or to all. */
type Step = {
  readonly kind: 'put' | 'delete' | 'look_up' | 'wait' | 'deliver' | 'control_plane' | 'snapshot';
  readonly service: number;
  readonly count: number;
};
const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.oneof(
    { weight: 8, arbitrary: fc.constant('look_up' as const) },
    { weight: 3, arbitrary: fc.constantFrom('put' as const, 'deliver' as const) },
    {
      weight: 1,
      arbitrary: fc.constantFrom('delete' as const, 'wait' as const, 'control_plane' as const, 'snapshot' as const),
    },
  ),
  service: fc.nat({ max: services.length - 1 }),
  count: fc.nat({ max: 10 }),
});

/** A sidecar with room for about half of the services, whose control plane goes and comes. */
async function start() {
  const clock = new FakeClock();
  const source = new SidecarScriptedSource();
  const history = new SidecarHistory('acme');
  for (let service = 0; service < services.length / 2; service++) history.commit(createRoute(keyOf(service)));
  const controlPlane = { isReachable: true };
  const ask: AskControlPlane = async (lookup) => {
    await Promise.resolve();
    if (!controlPlane.isReachable) throw new DomainError('CONTROL_PLANE_UNAVAILABLE', 'out of reach');
    const { revision } = history.position;
    const freshness = { source: 'CONTROL_PLANE', revision, stalenessMs: 0, stale: false } as const;
    return { resolution: resolve(history.state, lookup, () => 0.5), freshness };
  };
  const remembered = new RememberedAnswers({ ask, clock });
  const memory = new SnapshotMemory({
    bytesMax: 3_500,
    onUnheldChange: (tenant, group, revision) => remembered.changed(tenant, group, revision),
  });
  const logger = createLogger('sidecar', 'silent');
  const subscriptions = new Subscriptions({
    scope: { tenants: ['acme'], onDemand: false },
    clock,
    start: (tenant) =>
      new TenantSync({ tenant, memory: memory.tenant(tenant), source, clock, random: () => 1, logger }),
    release: () => {},
  });
  const following = await source.following(1);
  following.tell((sink) => sink.snapshot(history.snapshot(), 0));
  const resolver = new SidecarResolver({
    subscriptions,
    askControlPlane: remembered.ask,
    admission: new LookupAdmission(sidecarLimits.admission),
    clock,
    random: () => 0.5,
  });
  const instants = resolverInstants(new MemoryAnswers({ subscriptions, random: () => 0.5 }), clock);
  return { clock, history, controlPlane, following, memory, remembered, resolver, instants, subscriptions };
}

type Sidecar = Awaited<ReturnType<typeof start>>;

/** As the service asks: at once, else through the resolver. */
async function lookUp(
  { instants, resolver }: Sidecar,
  service: number,
): Promise<{ revision: number } | { reason: string }> {
  const lookup = { ...keyOf(service), hashKey: '', attributes: {}, method: '' };
  const frame = framedAnswer(
    instants.resolve!,
    Buffer.from(ResolveRequest.encode({ key: keyOf(service), hashKey: '', attributes: {}, method: '' }).finish()),
  );
  if (Buffer.isBuffer(frame)) return { revision: Number(ResolveResponse.decode(frame.subarray(5)).route?.revision) };
  return await resolver.resolve(lookup, { kind: 'eventual' }, callContext()).then(
    ({ resolution }) => ({ revision: resolution.route.revision }),
    (error: unknown) => ({ reason: error instanceof DomainError ? error.reason : String(error) }),
  );
}

/** What a lookup may say of a service: what was true at any moment since the time that its answers may be as old as. */
class Past {
  readonly #of = new Map<number, { atMs: number; revision: number | undefined }[]>();

  note(service: number, atMs: number, revision: number | undefined): void {
    const moments = this.#of.get(service) ?? [];
    moments.push({ atMs, revision });
    this.#of.set(service, moments);
  }

  /** Whether the service was there without a break since then. */
  wasThereSince(service: number, sinceMs: number): boolean {
    const moments = this.#of.get(service) ?? [];
    const before = moments.findLast(({ atMs }) => atMs <= sinceMs);
    return (
      before?.revision !== undefined && moments.every(({ atMs, revision }) => atMs <= sinceMs || revision !== undefined)
    );
  }

  had(service: number, revision: number): boolean {
    return (this.#of.get(service) ?? []).some((moment) => moment.revision === revision);
  }
}

/** What the runs did: else they would prove nothing. */
type Done = { lookups: number; evictions: number; negativeHits: number; steps: number };

/** What the sidecar was told of a service: the last change, and whether that left it there. */
type Told = { readonly revision: number; readonly isThere: boolean };

async function run(steps: readonly Step[], done: Done): Promise<void> {
  const sidecar = await start();
  const { clock, history, controlPlane, following, memory, remembered } = sidecar;
  await using _subscriptions = sidecar.subscriptions;
  const past = new Past();
  const routeOf = (service: number): Route | undefined =>
    history.state.find(keyOf(service).service, 'production')?.routes.get('v1');
  const isThere = (service: number): boolean => routeOf(service)?.lifecycle.state === 'ACTIVE';
  for (const service of services.keys()) if (isThere(service)) past.note(service, 0, routeOf(service)?.revision);
  let told: Told[] = [];
  const untold: ReturnType<SidecarHistory['commit']> = [];
  const tell = (): void => {
    told = Array.from(services.keys(), (service) => ({
      revision: routeOf(service)?.revision ?? 0,
      isThere: isThere(service),
    }));
  };
  tell();
  const deliver = (): void => {
    if (untold.length > 0) following.tell((sink) => sink.changes(rangeOf(untold.splice(0)), 0));
    tell();
  };
  const commit = (service: number, mutation: Mutation): void => {
    untold.push(...history.commit(mutation));
    past.note(service, clock.monotonicMs(), isThere(service) ? routeOf(service)?.revision : undefined);
  };
  for (const { kind, service, count } of steps) {
    done.steps++;
    if (kind === 'put' && isThere(service))
      commit(service, moveRoute(keyOf(service), `grpc://host-${clock.monotonicMs()}-${count}:1`));
    else if (kind === 'put' && routeOf(service) === undefined) commit(service, createRoute(keyOf(service)));
    else if (kind === 'put') commit(service, { kind: 'undelete_route', key: keyOf(service), etag: '' });
    if (kind === 'delete' && isThere(service)) commit(service, { kind: 'delete_route', key: keyOf(service), etag: '' });
    if (kind === 'deliver') deliver();
    if (kind === 'wait') {
      // Changes take no longer than a second to arrive.
      deliver();
      clock.advance(500 * count);
    }
    if (kind === 'control_plane') controlPlane.isReachable = !controlPlane.isReachable;
    if (kind === 'snapshot') {
      untold.splice(0);
      following.tell((sink) => sink.snapshot(history.snapshot(), 0));
      tell();
    }
    if (kind !== 'look_up') continue;
    done.lookups++;
    const answer = await lookUp(sidecar, service);
    if ('reason' in answer) expect(['ROUTE_NOT_FOUND', 'CONTROL_PLANE_UNAVAILABLE']).toContain(answer.reason);
    else {
      expect(past.had(service, answer.revision)).toBe(true);
      expect(answer.revision).toBeGreaterThanOrEqual(told[service]?.revision ?? 0);
    }
    // Memory knows what it was told; a negative entry is believed for two seconds, whatever has not been told yet.
    const wasThere = past.wasThereSince(service, clock.monotonicMs() - sidecarLimits.answers.absentMs);
    if (wasThere && told[service]?.isThere === true) expect(answer).not.toEqual({ reason: 'ROUTE_NOT_FOUND' });
  }
  done.evictions += memory.figures.evictions;
  done.negativeHits += remembered.counts.negativeHits;
}

test('under eviction pressure, with changes arriving and the control plane coming and going, no live route is said not to be there', async () => {
  const done: Done = { lookups: 0, evictions: 0, negativeHits: 0, steps: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 120, size: 'max' }), (steps) => run(steps, done)),
    { numRuns: 300, seed: 5 },
  );
  expect(done.lookups).toBeGreaterThan(5_000);
  expect(done.evictions).toBeGreaterThan(200);
  expect(done.negativeHits).toBeGreaterThan(50);
});

test('nor after thousands of steps', async () => {
  const done: Done = { lookups: 0, evictions: 0, negativeHits: 0, steps: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4_000, maxLength: 6_000, size: 'max' }), (steps) => run(steps, done)),
    { numRuns: 5, seed: 6, endOnFailure: true },
  );
  expect(done.steps).toBeGreaterThan(20_000);
  expect(done.evictions).toBeGreaterThan(1_000);
  expect(done.negativeHits).toBeGreaterThan(100);
});
