import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SnapshotMemory } from '../../sidecar/snapshot/snapshot-memory.ts';
import type { TenantMemory } from '../../sidecar/snapshot/tenant-memory.ts';
import type { Change } from '../../src/domain/change.ts';
import { DomainError } from '../../src/domain/domain-error.ts';
import type { Mutation } from '../../src/domain/mutation.ts';
import { resolve, type Lookup } from '../../src/domain/resolve.ts';
import { TenantState, type TenantView } from '../../src/domain/tenant-view.ts';
import { createRoute, exampleEndpoint, exampleRouteValue, setDefaultVersion } from '../fakes/example-configuration.ts';
import { coalescedRangeOf, rangeOf, SidecarHistory } from '../fakes/sidecar-history.ts';

// A run that fails prints its seed and path: `fc.assert(…, { seed, path })` replays it.

const tenants = ['acme', 'globex', 'initech'] as const;
const services = ['cart', 'catalog', 'checkout', 'search', 'users'];
const versions = ['v1', 'v2', 'v3'];

type Step =
  | { readonly kind: 'commit'; readonly tenant: number; readonly mutations: readonly Mutating[] }
  /** Changes that were committed and not told; `repeated` of the older ones are told again before them, and all of them coalesced. */
  | { readonly kind: 'deliver'; readonly tenant: number; readonly repeated: number; readonly coalesced: boolean }
  | { readonly kind: 'snapshot'; readonly tenant: number }
  | { readonly kind: 'look_up'; readonly tenant: number; readonly service: number; readonly version: number };

type Mutating = {
  readonly kind: 'put' | 'delete' | 'undelete' | 'switch_off' | 'policy' | 'delete_tenant' | 'undelete_tenant';
  readonly service: number;
  readonly version: number;
  /** Characters of a label: how large the route is. */
  readonly size: number;
};

const tenantIndex = fc.nat({ max: tenants.length - 1 });
const serviceIndex = fc.nat({ max: services.length - 1 });
const versionIndex = fc.nat({ max: versions.length - 1 });

const mutating: fc.Arbitrary<Mutating> = fc.record({
  kind: fc.oneof(
    { weight: 4, arbitrary: fc.constant('put' as const) },
    { weight: 4, arbitrary: fc.constant('delete' as const) },
    { weight: 1, arbitrary: fc.constantFrom('undelete' as const, 'switch_off' as const, 'policy' as const) },
    { weight: 1, arbitrary: fc.constantFrom('delete_tenant' as const, 'undelete_tenant' as const) },
  ),
  service: serviceIndex,
  // The first more often, so that some services lose all that they have.
  version: fc.oneof(fc.constant(0), versionIndex),
  // One in some that no memory of these holds.
  size: fc.oneof({ weight: 9, arbitrary: fc.nat({ max: 500 }) }, { weight: 1, arbitrary: fc.constant(20_000) }),
});

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('commit' as const),
      tenant: tenantIndex,
      mutations: fc.array(mutating, { minLength: 1, maxLength: 6 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('deliver' as const),
      tenant: tenantIndex,
      repeated: fc.nat({ max: 5 }),
      coalesced: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('snapshot' as const), tenant: tenantIndex }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('look_up' as const),
      tenant: tenantIndex,
      service: serviceIndex,
      version: fc.nat({ max: versions.length }),
    }),
  },
);

/** One tenant as it truly is, and as far as it has been told. */
class Truth {
  readonly name: string;
  readonly history: SidecarHistory;
  readonly told = new TenantState();
  toldRevision = 0;
  /** Groups that memory was told of since its last snapshot, and whether one of them was missing after any step since. */
  groups = new Set<string>();
  everMissing = false;
  /** By lookup: the revision of the newest route that it was answered with. */
  readonly answered = new Map<string, number>();
  readonly #changes: Change[];

  constructor(name: string) {
    this.name = name;
    this.history = new SidecarHistory(name);
    this.#changes = [];
  }

  commit(mutations: readonly Mutating[]): void {
    for (const mutation of mutations) {
      try {
        this.#changes.push(...this.history.commit(this.#mutationOf(mutation)));
      } catch (error) {
        // Not allowed on what is there: another draw.
        if (!(error instanceof DomainError)) throw error;
      }
    }
  }

  /** The changes after what was told, with some of those before. */
  telling(repeated: number): Change[] {
    return this.#changes.filter(({ revision }) => revision > this.toldRevision - repeated);
  }

  markTold(groups: Iterable<string>): void {
    this.told.tenant = this.history.state.tenant;
    for (const change of this.#changes) if (change.revision > this.toldRevision) this.told.apply(change);
    this.toldRevision = this.history.position.revision;
    for (const group of groups) this.groups.add(group);
  }

  #mutationOf({ kind, service, version, size }: Mutating): Mutation {
    const key = {
      tenant: this.name,
      service: services[service] ?? '',
      environment: 'production',
      version: versions[version] ?? '',
    };
    const labels = { padding: 'x'.repeat(Math.min(size, 255)) };
    const many = Array.from({ length: size > 255 ? size / 100 : 1 }, (_, index) =>
      exampleEndpoint({ url: `grpc://host-${index}:1`, labels }),
    );
    switch (kind) {
      case 'put': {
        const exists = this.history.state.find(key.service, key.environment)?.routes.get(key.version);
        if (exists === undefined) return createRoute(key, exampleRouteValue({ labels, endpoints: many }));
        return { kind: 'update_route', key, endpoints: many, labels, createAs: 'ACTIVE', etag: '' };
      }
      case 'delete':
        return { kind: 'delete_route', key, etag: '' };
      case 'undelete':
        return { kind: 'undelete_route', key, etag: '' };
      case 'switch_off':
        return { kind: 'set_route_state', key, state: 'INACTIVE', etag: '' };
      case 'policy':
        return setDefaultVersion(key, key.version);
      case 'delete_tenant':
      case 'undelete_tenant':
        return { kind, tenant: this.name, etag: '' };
    }
  }
}

function answerOf(view: TenantView, lookup: Lookup): { revision: number } | { reason: string } {
  try {
    return { revision: resolve(view, lookup, () => 0.5).route.revision };
  } catch (error) {
    if (error instanceof DomainError) return { reason: error.reason };
    throw error;
  }
}

function lookUp(truth: Truth, memory: TenantMemory, lookup: Lookup): void {
  if (memory.tenant === undefined) return;
  // As the resolver asks it.
  const isDeleted = memory.tenant.state === 'DELETED';
  const known = isDeleted || memory.isComplete || memory.find(lookup.service, lookup.environment) !== undefined;
  if (!known) return;
  const answer = answerOf(memory, lookup);
  expect(answer).toEqual(answerOf(truth.told, lookup));
  if (!('revision' in answer)) return;
  const name = `${lookup.service}/${lookup.version}`;
  if (lookup.version !== '') expect(answer.revision).toBeGreaterThanOrEqual(truth.answered.get(name) ?? 0);
  truth.answered.set(name, answer.revision);
}

function run(step: Step, truth: Truth, memory: TenantMemory): void {
  switch (step.kind) {
    case 'commit':
      return truth.commit(step.mutations);
    case 'deliver': {
      if (memory.tenant === undefined) return;
      const changes = truth.telling(step.repeated);
      const range = step.coalesced && changes.length > 0 ? coalescedRangeOf(changes) : rangeOf(changes);
      const foretold = memory.digestAfter(range.changes.filter(({ revision }) => revision > truth.toldRevision));
      expect(foretold ?? truth.history.state.digest.toString()).toBe(truth.history.state.digest.toString());
      memory.advance(range);
      const touched = changes.flatMap(({ subject, revision }) =>
        subject.kind === 'route' && revision > truth.toldRevision ? [subject.after.key.service] : [],
      );
      return truth.markTold(touched);
    }
    case 'snapshot': {
      // Sources refuse it: see the contract of Watch.
      if (truth.history.state.tenant?.state === 'DELETED') return;
      const snapshot = truth.history.snapshot();
      memory.replace(snapshot);
      truth.groups = new Set();
      truth.everMissing = false;
      return truth.markTold(snapshot.routes.map(({ key }) => key.service));
    }
    case 'look_up': {
      const version = versions[step.version] ?? '';
      const service = services[step.service] ?? '';
      return lookUp(truth, memory, {
        tenant: truth.name,
        service,
        environment: 'production',
        version,
        hashKey: 'k',
        attributes: {},
        method: '',
      });
    }
  }
}

function expectTruthful(truth: Truth, memory: TenantMemory): void {
  const held = new Map([...memory.all()].map((group) => [[...group.routes.values()][0]?.key.service, group]));
  held.delete(undefined);
  for (const [service = '', group] of held) {
    const told = truth.told.find(service, 'production');
    const live = [...(told?.routes.values() ?? [])].filter(({ lifecycle }) => lifecycle.state !== 'DELETED');
    expect([...group.routes.values()].toSorted(byVersion)).toEqual(live.toSorted(byVersion));
    expect(group.policy).toEqual(told?.policy);
  }
  const missing = [...truth.groups].filter((service) => !held.has(service) && hasLiveRoute(truth, service));
  if (missing.length > 0) truth.everMissing = true;
  // An empty group that was dropped may make memory careful, never the other way round.
  const emptied = [...truth.groups].some((service) => !hasLiveRoute(truth, service));
  expect(memory.digestAfter([])).toBe(memory.isComplete ? truth.told.digest.toString() : undefined);
  if (memory.isComplete) expect(missing).toEqual([]);
  else if (memory.tenant !== undefined) expect(truth.everMissing || emptied).toBe(true);
}

function hasLiveRoute(truth: Truth, service: string): boolean {
  const routes = truth.told.find(service, 'production')?.routes.values() ?? [];
  return [...routes].some(({ lifecycle }) => lifecycle.state !== 'DELETED');
}

function byVersion(left: { key: { version: string } }, right: { key: { version: string } }): number {
  return left.key.version < right.key.version ? -1 : 1;
}

test('memory under pressure is never wrong: absent only what is absent, never older, within its bytes, tenants apart', () => {
  let evictions = 0;
  let known = 0;
  fc.assert(
    fc.property(
      fc.integer({ min: 2_000, max: 12_000 }),
      fc.array(step, { minLength: 5, maxLength: 120, size: 'max' }),
      (bytesMax, steps) => {
        const memory = new SnapshotMemory({ bytesMax });
        const truths = tenants.map((name) => new Truth(name));
        for (const each of steps) {
          const others = truths.filter((_, index) => index !== each.tenant);
          const before = others.map(({ name }) => ({
            position: memory.tenant(name).position,
            groups: new Set(memory.tenant(name).all()),
          }));
          const truth = truths[each.tenant];
          if (truth === undefined) throw new Error('a step is of one of the tenants');
          run(each, truth, memory.tenant(truth.name));

          expect(memory.bytes).toBeLessThanOrEqual(bytesMax);
          for (const { name } of truths)
            expectTruthful(truths[tenants.indexOf(name as 'acme')] ?? truth, memory.tenant(name));
          for (const [index, { name }] of others.entries()) {
            expect(memory.tenant(name).position).toEqual(before[index]?.position);
            // Room may have been taken from them, nothing else.
            for (const group of memory.tenant(name).all()) expect(before[index]?.groups.has(group)).toBe(true);
          }
          if (truths.some(({ name }) => memory.tenant(name).isComplete)) known++;
        }
        evictions += memory.figures.evictions;
      },
    ),
    { numRuns: 200, seed: 11 },
  );
  // Else this would prove nothing.
  expect(evictions).toBeGreaterThan(300);
  expect(known).toBeGreaterThan(1_000);
});
