import { describe, expect, test } from 'vitest';
import {
  errorFromStatus,
  FreshnessSource,
  message,
  ResolveRequest,
  SelectionReason,
  type Fields,
  type ResolveResult,
} from '../../src/client/index.ts';
import { keyOf, policyOf, routeOf, useControlPlanes } from './control-plane-bench.ts';

const strong = { requirement: { $case: 'strong', value: true } } as const;
const minRevision = (value: bigint) => ({ requirement: { $case: 'minRevision', value } }) as const;
const maxStaleness = (seconds: bigint, nanos = 0) =>
  ({ requirement: { $case: 'maxStaleness', value: { seconds, nanos } } }) as const;

const lookup = (fields: Fields<ResolveRequest>): ResolveRequest => message(ResolveRequest, fields);
const outcomeOf = ({ result }: ResolveResult): string | undefined =>
  result?.$case === 'response' ? result.value.route?.key?.version : result && errorFromStatus(result.value).reason;

describe('ResolverService', () => {
  const bench = useControlPlanes();

  /** Routes v1 and v2, v3 switched off, v4 deleted, and v1 as the default version. */
  async function withRoutes(): Promise<string> {
    const tenant = await bench.newTenant();
    const { routes, policies } = bench.client;
    for (const version of ['v1', 'v2', 'v3', 'v4'])
      await routes.createRoute({ route: routeOf(keyOf(tenant, version)) });
    await routes.deactivateRoute({ key: keyOf(tenant, 'v3') });
    await routes.deleteRoute({ key: keyOf(tenant, 'v4') });
    await policies.setTrafficPolicy({ trafficPolicy: policyOf(tenant, 'v1') });
    return tenant;
  }

  test('Resolve answers the route, its policy, why, and how fresh', async () => {
    const tenant = await withRoutes();
    const { route } = await bench.client.routes.getRoute({ key: keyOf(tenant) });
    const { trafficPolicy } = await bench.client.policies.getTrafficPolicy({ key: keyOf(tenant) });
    expect(await bench.client.resolver.resolve({ key: keyOf(tenant), consistency: strong })).toEqual({
      route,
      trafficPolicy,
      selectionReason: SelectionReason.SELECTION_REASON_KEY,
      matchRule: '',
      freshness: {
        source: FreshnessSource.FRESHNESS_SOURCE_CONTROL_PLANE,
        revision: 8n,
        stalenessMs: 0n,
        stale: false,
      },
    });
    expect(await bench.client.resolver.resolve({ key: keyOf(tenant, '') })).toMatchObject({
      route,
      selectionReason: SelectionReason.SELECTION_REASON_DEFAULT_VERSION,
      freshness: { source: FreshnessSource.FRESHNESS_SOURCE_SNAPSHOT, revision: 8n, stale: false },
    });
  });

  test('Resolve divides calls as the split says, sticky by hash key', async () => {
    const tenant = await withRoutes();
    const split = [
      { version: 'v1', weight: 1 },
      { version: 'v2', weight: 1 },
      { version: 'v3', weight: 100 },
    ];
    await bench.client.policies.setTrafficPolicy({ trafficPolicy: { ...policyOf(tenant, ''), split } });
    const versionFor = async (hashKey: string) => {
      const { route, selectionReason } = await bench.client.resolver.resolve({ key: keyOf(tenant, ''), hashKey });
      expect(selectionReason).toBe(SelectionReason.SELECTION_REASON_SPLIT);
      return route?.key?.version;
    };
    const users = Array.from({ length: 40 }, (_, index) => `user-${index}`);
    const first = await Promise.all(users.map(versionFor));
    expect(await Promise.all(users.map(versionFor))).toEqual(first);
    // v3 is switched off: its share goes to the others.
    expect(new Set(first)).toEqual(new Set(['v1', 'v2']));
  });

  test.for([
    ['another tenant', { tenant: 'nobody' }, 'TENANT_NOT_FOUND'],
    ['another service', { service: 'shop' }, 'ROUTE_NOT_FOUND'],
    ['a version that never was', { version: 'v9' }, 'ROUTE_NOT_FOUND'],
    ['a deleted version', { version: 'v4' }, 'ROUTE_NOT_FOUND'],
    ['a version that is switched off', { version: 'v3' }, 'ROUTE_INACTIVE'],
  ] as const)('Resolve of %s is NOT_FOUND with a reason', async ([, fields, reason]) => {
    const tenant = await withRoutes();
    for (const consistency of [undefined, strong, maxStaleness(60n)]) {
      const lookup = bench.client.resolver.resolve({ key: { ...keyOf(tenant), ...fields }, consistency });
      await expect(lookup).rejects.toMatchObject({ code: 'NOT_FOUND', reason });
    }
  });

  test('Resolve without a version and without a policy says that none is selected', async () => {
    const tenant = await bench.newTenant();
    await bench.client.routes.createRoute({ route: routeOf(keyOf(tenant)) });
    await expect(bench.client.resolver.resolve({ key: keyOf(tenant, '') })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      reason: 'VERSION_NOT_SELECTED',
    });
  });

  test('Resolve with max_staleness never answers with more', async () => {
    const tenant = await withRoutes();
    for (const consistency of [maxStaleness(0n, 1), maxStaleness(0n, 50_000_000), maxStaleness(60n)]) {
      const { freshness } = await bench.client.resolver.resolve({ key: keyOf(tenant), consistency });
      const { seconds, nanos } = consistency.requirement.value;
      expect(Number(freshness?.stalenessMs)).toBeLessThanOrEqual(Math.ceil(Number(seconds) * 1_000 + nanos / 1e6));
    }
  });

  test('Resolve with min_revision waits for it, and is answered when it is written', async () => {
    const tenant = await withRoutes();
    const waiting = bench.client.resolver.resolve({ key: keyOf(tenant, 'v5'), consistency: minRevision(9n) });
    await bench.client.routes.createRoute({ route: routeOf(keyOf(tenant, 'v5')) });
    expect(await waiting).toMatchObject({ route: { revision: 9n }, freshness: { revision: 9n } });
  });

  test('Resolve with min_revision gives up just before its deadline, with a reason and a hint', async () => {
    const tenant = await withRoutes();
    const lookup = bench.client.resolver.resolve(
      { key: keyOf(tenant), consistency: minRevision(10_000n) },
      { timeoutMs: 500 },
    );
    await expect(lookup).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'REVISION_NOT_REACHED',
      metadata: { revision: '10000', held_revision: '8' },
      retryDelayMs: 500,
    });
  });

  test('BatchResolve answers each lookup in its place', async () => {
    const tenant = await withRoutes();
    const { results } = await bench.client.resolver.batchResolve({
      requests: [
        lookup({ key: keyOf(tenant, 'v2') }),
        lookup({ key: keyOf(tenant, 'v3'), consistency: strong }),
        lookup({ key: keyOf('nobody') }),
        lookup({}),
        lookup({ key: keyOf(tenant, '') }),
      ],
    });
    expect(results.map(outcomeOf)).toEqual(['v2', 'ROUTE_INACTIVE', 'TENANT_NOT_FOUND', 'INVALID_FIELDS', 'v1']);
  });

  test('BatchResolve takes 1,000 lookups, strong ones too', async () => {
    const tenant = await withRoutes();
    const requests = Array.from({ length: 1_000 }, (_, index) =>
      lookup({ key: keyOf(tenant, index % 2 === 0 ? 'v1' : 'v2'), consistency: index % 10 === 0 ? strong : undefined }),
    );
    const { results } = await bench.client.resolver.batchResolve({ requests });
    expect(results.map(outcomeOf)).toEqual(requests.map(({ key }) => key?.version));
    await expect(bench.client.resolver.batchResolve({ requests: [...requests, lookup({})] })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      fieldViolations: [{ field: 'requests' }],
    });
  });

  test('StreamResolve answers pipelined messages in their order, and lives until the caller ends it', async () => {
    const tenant = await withRoutes();
    const messages = Array.from({ length: 200 }, (_, index) =>
      Array.from({ length: 1 + (index % 3) }, (__, part) => `v${1 + ((index + part) % 2)}`),
    );
    async function* requests() {
      for (const versions of messages) {
        yield await Promise.resolve({ requests: versions.map((version) => lookup({ key: keyOf(tenant, version) })) });
      }
    }
    const answers: (string | undefined)[][] = [];
    for await (const { results } of bench.client.resolver.streamResolve(requests()))
      answers.push(results.map(outcomeOf));
    expect(answers).toEqual(messages);
  });

  test('StreamResolve ends with a status when a message asks for nothing', async () => {
    const tenant = await withRoutes();
    async function* requests() {
      yield await Promise.resolve({ requests: [lookup({ key: keyOf(tenant) })] });
      yield { requests: [] };
      await new Promise(() => {});
    }
    const answers = bench.client.resolver.streamResolve(requests());
    expect((await answers.next()).value?.results.map(outcomeOf)).toEqual(['v1']);
    await expect(answers.next()).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      fieldViolations: [{ field: 'requests' }],
    });
  });
});
