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
import { resolve } from '../../src/domain/resolve.ts';
import { ResolveRequest, ResolveResponse } from '../../src/gen/trafficmanager/v1/resolver_service.ts';
import { createLogger } from '../../src/platform/logger.ts';
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
  return { clock, history, controlPlane, following, memory, resolver, instants, subscriptions };
}

type Sidecar = Awaited<ReturnType<typeof start>>;

/** As the service asks: at once, else through the resolver. */
async function lookUp(
  { instants, resolver }: Sidecar,
  service: number,
): Promise<{ revision: number } | { reason: string }> {
  const lookup = { ...keyOf(service), hashKey: '', attributes: {}, method: '' };
  const frame = instants.resolve?.(
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

test('under eviction pressure, with changes arriving and the control plane coming and going, no live route is said not to be there', async () => {
  let asked = 0;
  let evictions = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 120 }), async (steps) => {
      const sidecar = await start();
      const { clock, history, controlPlane, following, memory } = sidecar;
      await using _subscriptions = sidecar.subscriptions;
      const past = new Past();
      for (const { routes } of history.state.all()) {
        const [route] = routes.values();
        if (route !== undefined) past.note(services.indexOf(route.key.service), 0, route.revision);
      }
      let told = history.position.revision;
      const untold: ReturnType<SidecarHistory['commit']> = [];
      const deliver = (): void => {
        if (untold.length > 0) following.tell((sink) => sink.changes(rangeOf(untold.splice(0)), 0));
        told = history.position.revision;
      };
      for (const { kind, service, count } of steps) {
        const current = history.state.find(keyOf(service).service, 'production')?.routes.get('v1');
        const isThere = current?.lifecycle.state === 'ACTIVE';
        if (kind === 'put' && (current === undefined || isThere)) {
          untold.push(
            ...history.commit(
              isThere
                ? moveRoute(keyOf(service), `grpc://host-${clock.monotonicMs()}-${count}:1`)
                : createRoute(keyOf(service)),
            ),
          );
          past.note(service, clock.monotonicMs(), history.position.revision);
        }
        if (kind === 'delete' && isThere) {
          untold.push(...history.commit({ kind: 'delete_route', key: keyOf(service), etag: '' }));
          past.note(service, clock.monotonicMs(), undefined);
        }
        if (kind === 'deliver') deliver();
        if (kind === 'wait') {
          // Changes take no longer than a second to arrive.
          deliver();
          clock.advance(1_000 * count);
        }
        if (kind === 'control_plane') controlPlane.isReachable = !controlPlane.isReachable;
        if (kind === 'snapshot') {
          untold.splice(0);
          following.tell((sink) => sink.snapshot(history.snapshot(), 0));
          told = history.position.revision;
        }
        if (kind !== 'look_up') continue;
        asked++;
        const answer = await lookUp(sidecar, service);
        // A negative entry is believed for two seconds; memory is as old as what it was told.
        const isLive = untold.length === 0 && told === history.position.revision;
        if ('reason' in answer && answer.reason === 'ROUTE_NOT_FOUND' && isLive)
          expect(past.wasThereSince(service, clock.monotonicMs() - sidecarLimits.answers.absentMs)).toBe(false);
        else if ('reason' in answer) expect(['ROUTE_NOT_FOUND', 'CONTROL_PLANE_UNAVAILABLE']).toContain(answer.reason);
        else expect(past.had(service, answer.revision)).toBe(true);
      }
      evictions += memory.figures.evictions;
    }),
    { numRuns: 300, seed: 5 },
  );
  // Else this would prove nothing.
  expect(asked).toBeGreaterThan(5_000);
  expect(evictions).toBeGreaterThan(200);
});
