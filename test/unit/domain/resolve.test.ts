import { describe, expect, test } from 'vitest';
import { DomainError } from '../../../src/domain/domain-error.ts';
import type { Mutation } from '../../../src/domain/mutation.ts';
import { resolve, type Lookup } from '../../../src/domain/resolve.ts';
import { TenantState } from '../../../src/domain/tenant-view.ts';
import { stage } from '../../../src/domain/transaction.ts';
import type { WeightedVersion } from '../../../src/domain/weighted-split.ts';
import {
  createRoute,
  createTenant,
  exampleKey,
  exampleTenant,
  setDefaultVersion,
  transactionOf,
} from '../../fakes/example-configuration.ts';
import { exampleLookup } from '../../fakes/example-traffic-policy.ts';
import { seededRandom } from '../../fakes/seeded-random.ts';

const [v1, v2, v3] = [exampleKey('v1'), exampleKey('v2'), exampleKey('v3')];

function stateAfter(...mutations: readonly Mutation[]): TenantState {
  const state = new TenantState();
  const all = [createTenant(exampleTenant), ...mutations];
  for (const [index, mutation] of all.entries()) {
    const transaction = transactionOf(exampleTenant, `c${index}`, [mutation]);
    for (const change of stage(state, state.tenant?.revision ?? 0, transaction).changes) state.apply(change);
  }
  return state;
}

function split(...branches: readonly (readonly [version: string, weight: number])[]): Mutation {
  return setSplit('', branches);
}

function setSplit(defaultVersion: string, branches: readonly (readonly [version: string, weight: number])[]): Mutation {
  const { tenant, service, environment } = v1;
  const weighted = branches.map(([version, weight]): WeightedVersion => ({ version, weight }));
  const value = { defaultVersion, split: weighted, rules: [] };
  return { kind: 'set_traffic_policy', key: { tenant, service, environment }, value, etag: '' };
}

function outcomeOf(state: TenantState, fields: Partial<Lookup> = {}, random = seededRandom(1)): string {
  const lookup = exampleLookup(fields);
  try {
    const { route, reason } = resolve(state, lookup, random);
    return `${reason} ${route.key.version}`;
  } catch (error) {
    if (error instanceof DomainError) return error.reason;
    throw error;
  }
}

/** How many of 20,000 calls each version gets. */
function sharesOf(state: TenantState, hashKey: (call: number) => string): Record<string, number> {
  const random = seededRandom(42);
  const shares: Record<string, number> = {};
  for (let call = 0; call < calls; call++) {
    const { route } = resolve(state, exampleLookup({ hashKey: hashKey(call) }), random);
    shares[route.key.version] = (shares[route.key.version] ?? 0) + 1;
  }
  return shares;
}

const calls = 20_000;
/** Five standard deviations of a binomial share: less than one in a million by chance, and the seed is fixed anyway. */
const tolerance = (share: number): number => 5 * Math.sqrt(calls * share * (1 - share));

describe('a lookup that names a version', () => {
  const off: Mutation = { kind: 'set_route_state', key: v2, state: 'INACTIVE', etag: '' };
  const gone: Mutation = { kind: 'delete_route', key: v3, etag: '' };
  const state = stateAfter(createRoute(v1), createRoute(v2), createRoute(v3), off, gone, split(['v1', 1]));

  test.for([
    ['gets it, whatever the policy says', { version: 'v1' }, 'KEY v1'],
    ['is told that it is inactive', { version: 'v2' }, 'ROUTE_INACTIVE'],
    ['does not find a deleted one', { version: 'v3' }, 'ROUTE_NOT_FOUND'],
    ['does not find one that never was', { version: 'v4' }, 'ROUTE_NOT_FOUND'],
    ['tells upper case from lower', { version: 'V1' }, 'ROUTE_NOT_FOUND'],
    ['does not find another service', { service: 'shop', version: 'v1' }, 'ROUTE_NOT_FOUND'],
    ['does not find another environment', { environment: 'staging', version: 'v1' }, 'ROUTE_NOT_FOUND'],
    ['does not find what objects know', { version: 'constructor' }, 'ROUTE_NOT_FOUND'],
  ] as const)('%s', ([, lookup, outcome]) => {
    expect(outcomeOf(state, lookup)).toBe(outcome);
  });

  test('is told that there is no tenant', () => {
    expect(outcomeOf(new TenantState(), { version: 'v1' })).toBe('TENANT_NOT_FOUND');
  });
});

describe('a lookup without a version', () => {
  const deactivate = (key: typeof v1): Mutation => ({ kind: 'set_route_state', key, state: 'INACTIVE', etag: '' });

  test.for([
    ['finds nothing where there is nothing', [], 'ROUTE_NOT_FOUND'],
    ['is not given just any version', [createRoute(v1)], 'VERSION_NOT_SELECTED'],
    [
      'finds nothing when all is deleted',
      [createRoute(v1), { kind: 'delete_route', key: v1, etag: '' }],
      'ROUTE_NOT_FOUND',
    ],
    ['gets the default version', [createRoute(v1), setDefaultVersion(v1, 'v1')], 'DEFAULT_VERSION v1'],
    [
      'is told that the default version is inactive',
      [createRoute(v1), setDefaultVersion(v1, 'v1'), deactivate(v1)],
      'ROUTE_INACTIVE',
    ],
    ['gets a split before the default', [createRoute(v1), createRoute(v2), setSplit('v1', [['v2', 1]])], 'SPLIT v2'],
    [
      'gets the default when no branch is active',
      [createRoute(v1), createRoute(v2), setSplit('v1', [['v2', 1]]), deactivate(v2)],
      'DEFAULT_VERSION v1',
    ],
    [
      'gets the default when only drained branches are active',
      [
        createRoute(v1),
        createRoute(v2),
        setSplit('v1', [
          ['v2', 1],
          ['v1', 0],
        ]),
        deactivate(v2),
      ],
      'DEFAULT_VERSION v1',
    ],
    [
      'gets nothing when no branch is active and there is no default',
      [createRoute(v1), split(['v1', 1]), deactivate(v1)],
      'VERSION_NOT_SELECTED',
    ],
  ] as const)('%s', ([, mutations, outcome]) => {
    expect(outcomeOf(stateAfter(...mutations))).toBe(outcome);
    expect(outcomeOf(stateAfter(...mutations), { hashKey: 'user-1' })).toBe(outcome);
  });

  test('never gets a branch of weight 0 or without an active route, however the draw goes', () => {
    const state = stateAfter(
      createRoute(v1),
      createRoute(v2),
      createRoute(v3),
      split(['v1', 0], ['v2', 1], ['v3', 5]),
      deactivate(v3),
    );
    for (const draw of [0, Number.MIN_VALUE, 0.5, 1 - Number.EPSILON / 2])
      expect(outcomeOf(state, {}, () => draw)).toBe('SPLIT v2');
    for (let user = 0; user < 1_000; user++) expect(outcomeOf(state, { hashKey: `user-${user}` })).toBe('SPLIT v2');
  });
});

describe('a split', () => {
  const three = [createRoute(v1), createRoute(v2), createRoute(v3)];
  const keyed = (call: number): string => `user-${call}`;

  test.for([
    ['by chance', () => ''],
    ['by sequential hash keys', keyed],
    ['by hash keys of one letter more each', (call: number) => 'x'.repeat(call % 200) + String(Math.floor(call / 200))],
    ['by hash keys with a common end', (call: number) => `${call}-cart-production-customer`],
  ] as const)('gives each version its share %s', ([, hashKey]) => {
    const shares = sharesOf(stateAfter(...three, split(['v1', 900], ['v2', 90], ['v3', 10])), hashKey);
    for (const [version, share] of Object.entries({ v1: 0.9, v2: 0.09, v3: 0.01 })) {
      expect(Math.abs((shares[version] ?? 0) - calls * share)).toBeLessThan(tolerance(share));
    }
  });

  test('is even between 64 branches of one weight', () => {
    const keys = Array.from({ length: 64 }, (_, index) => exampleKey(`v${index}`));
    const branches = keys.map(({ version }) => [version, 7] as const);
    const shares = sharesOf(stateAfter(...keys.map((key) => createRoute(key)), split(...branches)), keyed);
    expect(Object.keys(shares)).toHaveLength(64);
    for (const count of Object.values(shares)) expect(Math.abs(count - calls / 64)).toBeLessThan(tolerance(1 / 64));
  });

  test('gives equal hash keys equal versions, in every process', () => {
    const state = stateAfter(...three, split(['v1', 1], ['v2', 1], ['v3', 1]));
    const twin = stateAfter(...three.toReversed(), split(['v3', 1], ['v1', 1], ['v2', 1]));
    for (let user = 0; user < 1_000; user++) {
      const hashKey = keyed(user);
      const first = outcomeOf(state, { hashKey }, seededRandom(user));
      expect(outcomeOf(state, { hashKey }, seededRandom(user + 1))).toBe(first);
      // The order of branches and of creation does not matter.
      expect(outcomeOf(twin, { hashKey }, seededRandom(user + 2))).toBe(first);
    }
  });

  test.for([
    [
      'a larger weight moves calls to it only',
      [
        ['v1', 60],
        ['v2', 20],
        ['v3', 20],
      ],
      'v2',
      40,
    ],
    [
      'a smaller weight moves calls from it only',
      [
        ['v1', 60],
        ['v2', 40],
      ],
      'v2',
      10,
    ],
    [
      'a weight of 0 moves all of its calls, and no other',
      [
        ['v1', 60],
        ['v2', 20],
        ['v3', 20],
      ],
      'v3',
      0,
    ],
    [
      'a new branch takes from all, and moves none between the others',
      [
        ['v1', 60],
        ['v2', 40],
      ],
      'v3',
      10,
    ],
  ] as const)('%s', ([, before, changed, weight]) => {
    const weights = new Map<string, number>(before);
    const old = stateAfter(...three, split(...weights.entries()));
    const oldWeight = weights.get(changed) ?? 0;
    weights.set(changed, weight);
    const changedState = stateAfter(...three, split(...weights.entries()));
    const total = [...weights.values()].reduce((sum, each) => sum + each, 0);
    const oldTotal = total - weight + oldWeight;
    let moved = 0;
    for (let call = 0; call < calls; call++) {
      const [from, to] = [outcomeOf(old, { hashKey: keyed(call) }), outcomeOf(changedState, { hashKey: keyed(call) })];
      if (from === to) continue;
      moved += 1;
      expect(weight > oldWeight ? to : from).toBe(`SPLIT ${changed}`);
    }
    // And no more of them than the shares differ.
    const share = Math.abs(weight / total - oldWeight / oldTotal);
    expect(Math.abs(moved - calls * share)).toBeLessThan(tolerance(share));
  });

  test('moves only the calls of a version that is switched off', () => {
    const on = stateAfter(...three, split(['v1', 1], ['v2', 1], ['v3', 1]));
    const off = stateAfter(...three, split(['v1', 1], ['v2', 1], ['v3', 1]), {
      kind: 'set_route_state',
      key: v2,
      state: 'INACTIVE',
      etag: '',
    });
    for (let user = 0; user < 2_000; user++) {
      const [before, after] = [outcomeOf(on, { hashKey: keyed(user) }), outcomeOf(off, { hashKey: keyed(user) })];
      expect(after).not.toBe('SPLIT v2');
      if (before !== 'SPLIT v2') expect(after).toBe(before);
    }
  });
});
