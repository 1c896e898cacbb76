import fc from 'fast-check';
import { expect, test } from 'vitest';
import { withCommitTime, type Change } from '../../src/domain/change.ts';
import { DomainError } from '../../src/domain/domain-error.ts';
import type { Mutation } from '../../src/domain/mutation.ts';
import type { LiveState, Route, RouteKey } from '../../src/domain/route.ts';
import { TenantState } from '../../src/domain/tenant-view.ts';
import { stage, type Staged } from '../../src/domain/transaction.ts';
import { exampleEndpoint, exampleTenant, transactionOf } from '../fakes/example-configuration.ts';
import { WriteModel, type ModelEtag, type ModelMutation, type ModelValue } from './write-model.ts';

// A run that fails prints its seed and path: `fc.assert(…, { seed, path })` replays it.

// Few names and few values: most mutations then meet something that others have left.
const groups = ['cart/production', 'cart/staging'] as const;
const versions = ['v1', 'RC.1'] as const;
const group = fc.constantFrom(...groups);
const path = fc
  .record({ group, version: fc.constantFrom(...versions) })
  .map(({ group: at, version }) => `${at}/${version}`);
const etag = fc.constantFrom<ModelEtag>('none', 'none', 'none', 'none', 'current', 'wrong');
const value: fc.Arbitrary<ModelValue> = fc.record({
  endpoints: fc.constantFrom(['a'], ['b'], ['a', 'b']),
  labels: fc.constantFrom('', 'x', 'y'),
});
const liveState = fc.constantFrom<LiveState>('ACTIVE', 'INACTIVE');

const mutation: fc.Arbitrary<ModelMutation> = fc.oneof(
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('create_tenant' as const),
      displayName: fc.constantFrom('ACME', 'ACME', 'Other'),
    }),
  },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('create_route' as const), path, value, state: liveState }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('update_route' as const),
      path,
      value,
      mask: fc.constantFrom('endpoints', 'labels', 'both'),
      createAs: fc.option(liveState, { nil: undefined, freq: 2 }),
      etag,
    }),
  },
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constantFrom('activate', 'deactivate', 'delete', 'undelete'),
      path,
      etag,
    }) as fc.Arbitrary<ModelMutation>,
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('set_policy' as const),
      group,
      defaultVersion: fc.constantFrom('', ...versions),
      split: fc.constantFrom([], ['v1=1'], ['v1=1', 'RC.1=3'], ['v1=0', 'RC.1=5']),
      etag,
    }),
  },
);
const transaction = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(mutation) },
  { weight: 1, arbitrary: fc.array(mutation, { minLength: 2, maxLength: 5, size: 'max' }) },
);
const history = fc.array(transaction, { maxLength: 40, size: 'max' });

function keyOf(at: string): RouteKey {
  const [service = '', environment = '', version = ''] = at.split('/');
  return { tenant: exampleTenant, service, environment, version };
}

function endpointsOf({ endpoints }: ModelValue) {
  return endpoints.map((host) => exampleEndpoint({ url: `grpc://${host}` }));
}

function labelsOf({ labels }: ModelValue): Record<string, string> {
  return labels === '' ? {} : { label: labels };
}

/** A mutation as the domain takes it. `currentEtag`: of the resource, as the mutation before it in the transaction left it. */
function toDomain(model: ModelMutation, currentEtag: (etag: ModelEtag, at: string) => string): Mutation {
  switch (model.kind) {
    case 'create_tenant':
      return { kind: 'create_tenant', tenant: exampleTenant, value: { displayName: model.displayName, quotas: {} } };
    case 'create_route': {
      const lifecycle = { state: model.state as LiveState };
      const created = { endpoints: endpointsOf(model.value), labels: labelsOf(model.value), lifecycle };
      return { kind: 'create_route', key: keyOf(model.path), value: created };
    }
    case 'update_route':
      return {
        kind: 'update_route',
        key: keyOf(model.path),
        endpoints: model.mask === 'labels' ? undefined : endpointsOf(model.value),
        labels: model.mask === 'endpoints' ? undefined : labelsOf(model.value),
        createAs: model.createAs as LiveState | undefined,
        etag: currentEtag(model.etag, model.path),
      };
    case 'activate':
    case 'deactivate':
      return {
        kind: 'set_route_state',
        key: keyOf(model.path),
        state: model.kind === 'activate' ? 'ACTIVE' : 'INACTIVE',
        etag: currentEtag(model.etag, model.path),
      };
    case 'delete':
      return { kind: 'delete_route', key: keyOf(model.path), etag: currentEtag(model.etag, model.path) };
    case 'undelete':
      return { kind: 'undelete_route', key: keyOf(model.path), etag: currentEtag(model.etag, model.path) };
    case 'set_policy': {
      const { tenant, service, environment } = keyOf(model.group);
      const split = model.split.map((branch) => {
        const [version = '', weight] = branch.split('=');
        return { version, weight: Number(weight) };
      });
      const policy = { defaultVersion: model.defaultVersion, split, rules: [] };
      return {
        kind: 'set_traffic_policy',
        key: { tenant, service, environment },
        value: policy,
        etag: currentEtag(model.etag, model.group),
      };
    }
  }
}

/** Everything that a state holds, in the model's words. */
function contentOf(state: TenantState) {
  const routes = new Map<string, unknown>();
  const policies = new Map<string, unknown>();
  for (const { policy, routes: found } of state.all()) {
    if (policy !== undefined) {
      const split = policy.split.map(({ version, weight }) => `${version}=${weight}`);
      const { defaultVersion, revision, createTimeMs } = policy;
      const { service, environment } = policy.key;
      policies.set(`${service}/${environment}`, { defaultVersion, split, revision, createdAt: createTimeMs });
    }
    for (const route of found.values()) routes.set(pathOf(route), contentOfRoute(route));
  }
  return { routes, policies, revision: state.tenant?.revision ?? 0, displayName: state.tenant?.displayName };
}

function pathOf({ key }: Route): string {
  return `${key.service}/${key.environment}/${key.version}`;
}

function contentOfRoute({ endpoints, labels, lifecycle, revision, createTimeMs }: Route) {
  return {
    endpoints: endpoints.map(({ url }) => url.slice('grpc://'.length)),
    labels: labels['label'] ?? '',
    state: lifecycle.state,
    deletedIn: lifecycle.state === 'DELETED' ? lifecycle.deletedFrom : undefined,
    revision,
    // The time of a commit is its last revision here; the model's is the first change's, so it is compared as a commit.
    createdAt: createTimeMs,
  };
}

/** The domain's side of a run: its state, and all etags that its resources have had. */
class Domain {
  readonly state = new TenantState();
  readonly etags = new Map<string, string[]>();
  /** The commit revision of each revision: the model counts in revisions, the domain gives a commit one time. */
  readonly commitOf = new Map<number, number>();
  #commits = 0;

  /** Carries a transaction out; the reason when it is refused. */
  run(mutations: readonly ModelMutation[]): Staged | string {
    this.#commits += 1;
    // An etag that a mutation of the same transaction will give is not known to anybody: only known ones are sent.
    const domain = mutations.map((each) => toDomain(each, (wanted, at) => this.#etag(wanted, at)));
    try {
      const transaction = transactionOf(exampleTenant, `commit-${this.#commits}`, domain);
      const staged = stage(this.state, this.state.tenant?.revision ?? 0, transaction);
      for (const change of staged.changes) this.#apply(withCommitTime(change, change.commitRevision));
      return staged;
    } catch (error) {
      if (error instanceof DomainError) return error.reason;
      throw error;
    }
  }

  #etag(wanted: ModelEtag, at: string): string {
    const known = this.etags.get(at) ?? [];
    if (wanted === 'none') return '';
    if (wanted === 'current') return known.at(-1) ?? 'of-nothing';
    return known.at(-2) ?? 'never-seen';
  }

  #apply(change: Change): void {
    this.state.apply(change);
    this.commitOf.set(change.revision, change.commitRevision);
    const { subject } = change;
    if (subject.kind === 'tenant' || subject.after === undefined) return;
    const { service, environment } = subject.after.key;
    const at = subject.kind === 'route' ? pathOf(subject.after) : `${service}/${environment}`;
    const known = this.etags.get(at) ?? [];
    // "Changes with every change of the route."
    expect(known).not.toContain(subject.after.etag);
    this.etags.set(at, [...known, subject.after.etag]);
  }
}

/** Whether a transaction changes a resource and then asks for its etag: nobody can know it then. */
function asksForUnknownEtag(mutations: readonly ModelMutation[]): boolean {
  const touched = new Set<string>();
  return mutations.some((each) => {
    if (each.kind === 'create_tenant') return false;
    const at = each.kind === 'set_policy' ? each.group : each.path;
    const asks = 'etag' in each && each.etag !== 'none' && touched.has(at);
    touched.add(at);
    return asks;
  });
}

test('transactions do what the protos say, wholly or not at all', () => {
  fc.assert(
    fc.property(history, (transactions) => {
      const model = new WriteModel();
      const domain = new Domain();
      // Most histories begin with a tenant; some write before there is one.
      const all: ModelMutation[][] = [...transactions];
      if (transactions.length % 5 !== 0) all.unshift([{ kind: 'create_tenant', displayName: 'ACME' }]);
      for (const mutations of all.filter((each) => !asksForUnknownEtag(each))) {
        const before = contentOf(domain.state);
        const wanted = model.run(mutations);
        const result = domain.run(mutations);
        if (wanted.kind === 'refused') {
          expect([...wanted.reasons]).toContain(result);
          expect(contentOf(domain.state)).toEqual(before);
          continue;
        }
        if (typeof result === 'string') throw new Error(`refused with ${result}: ${JSON.stringify(mutations)}`);
        const actions = result.outcomes.map((outcome) => ('action' in outcome ? outcome.action : undefined));
        expect(actions).toEqual(wanted.actions);
        expectOneCommit(result.changes, before.revision);
        const atCommits = <Resource extends { createdAt: number }>(resources: ReadonlyMap<string, Resource>) =>
          new Map(
            [...resources].map(([at, each]) => [at, { ...each, createdAt: domain.commitOf.get(each.createdAt) }]),
          );
        expect(contentOf(domain.state)).toEqual({
          routes: atCommits(model.routes),
          policies: atCommits(model.policies),
          revision: model.revision,
          displayName: model.displayName,
        });
      }
    }),
    { numRuns: 1_000 },
  );
});

function expectOneCommit(changes: readonly Change[], before: number): void {
  for (const [index, change] of changes.entries()) {
    expect(change.revision).toBe(before + 1 + index);
    expect(change.commitRevision).toBe(before + changes.length);
    expect(change.commitId).toBe(changes[0]?.commitId);
    if (change.subject.after !== undefined) expect(change.subject.after.revision).toBe(change.revision);
  }
}

test('a transaction is each of its mutations after the other, when all of them are taken', () => {
  fc.assert(
    fc.property(history, (transactions) => {
      const [together, apart] = [new Domain(), new Domain()];
      for (const each of [together, apart]) each.run([{ kind: 'create_tenant', displayName: 'ACME' }]);
      for (const mutations of transactions.filter(
        (each) => !each.some((one) => 'etag' in one && one.etag !== 'none'),
      )) {
        const result = together.run(mutations);
        if (typeof result === 'string') continue;
        for (const one of mutations) apart.run([one]);
        // Single ones may be refused that are fine as a whole (a policy before its route): then the two go separate ways.
        if (apart.state.tenant?.revision !== together.state.tenant?.revision) return;
        const values = ({ state }: Domain) =>
          [...state.all()].flatMap(({ routes }) =>
            [...routes.values()].map(({ key, endpoints, labels, lifecycle, etag: tag }) => ({
              key,
              endpoints,
              labels,
              lifecycle,
              tag,
            })),
          );
        expect(values(apart)).toEqual(values(together));
      }
    }),
    { numRuns: 300 },
  );
});
