import { beforeAll, expect, test } from 'vitest';
import { message, AttributeMatch, MatchRule, TrafficPolicy } from '../../src/client/index.ts';
import {
  BatchWriteRoutesResponse,
  ListRoutesResponse,
  RollbackTenantResponse,
  RouteWrite,
} from '../../src/gen/trafficmanager/v1/route_service.ts';
import { ListTrafficPoliciesResponse } from '../../src/gen/trafficmanager/v1/traffic_policy_service.ts';
import { WatchResponse } from '../../src/gen/trafficmanager/v1/watch_service.ts';
import { endpointAt, keyOf, routeOf, useControlPlanes } from './control-plane-bench.ts';

/** What gRPC clients take that have not been told to take more. */
const clientBytesMax = 4 * 1024 * 1024;
/** Of 200 KB each: together more than that. */
const resources = 25;
const names = Array.from({ length: resources }, (_unused, index) => `r${String(index).padStart(2, '0')}`);

const bench = useControlPlanes();
let tenant: string;

beforeAll(async () => {
  tenant = await bench.newTenant();
  const writes = names.flatMap((service, index) => [
    message(RouteWrite, { write: { $case: 'createRoute', value: largeRoute(service, index) } }),
    message(RouteWrite, { write: { $case: 'setTrafficPolicy', value: largePolicy(service) } }),
  ]);
  await bench.client.routes.batchWriteRoutes({ tenant, writes });
});

/** Large by its URLs, or by its labels. */
function largeRoute(service: string, index: number) {
  const labels = Object.fromEntries(Array.from({ length: 8 }, (_unused, label) => [`label-${label}`, 'l'.repeat(250)]));
  const endpoints = Array.from({ length: 100 }, (_unused, host) =>
    index % 2 === 0
      ? endpointAt(`grpc://host-${host}/${'p'.repeat(2_000)}`)
      : endpointAt(`grpc://host-${host}`, { labels }),
  );
  return routeOf(keyOf(tenant, 'v1', { service }), { endpoints });
}

function largePolicy(service: string): TrafficPolicy {
  const rules = Array.from({ length: 64 }, () =>
    message(MatchRule, {
      version: 'v1',
      attributes: Array.from({ length: 16 }, () =>
        message(AttributeMatch, { name: 'x', predicate: { $case: 'exact', value: 'y'.repeat(180) } }),
      ),
    }),
  );
  return message(TrafficPolicy, { key: { tenant, service, environment: 'production' }, rules });
}

test('pages of large routes are of a size that every client takes, and together have all of them', async () => {
  const listed: (string | undefined)[] = [];
  let pageToken = '';
  do {
    const page = await bench.client.routes.listRoutes({ tenant, pageToken });
    expect(ListRoutesResponse.encode(page).finish().length).toBeLessThan(clientBytesMax);
    listed.push(...page.routes.map(({ key }) => key?.service));
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  expect(listed).toEqual(names);
});

test('pages of large routes of the past are so too', async () => {
  const { revision } = await bench.client.routes.listRoutes({ tenant, pageSize: 1 });
  const listed: (string | undefined)[] = [];
  let pageToken = '';
  do {
    const at = { $case: 'atRevision', value: revision } as const;
    const page = await bench.client.routes.listRoutes({ tenant, pageToken, at });
    expect(ListRoutesResponse.encode(page).finish().length).toBeLessThan(clientBytesMax);
    listed.push(...page.routes.map(({ key }) => key?.service));
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  expect(listed).toEqual(names);
});

test('pages of large policies are of a size that every client takes, and together have all of them', async () => {
  const listed: (string | undefined)[] = [];
  let pageToken = '';
  do {
    const page = await bench.client.policies.listTrafficPolicies({ tenant, pageToken });
    expect(ListTrafficPoliciesResponse.encode(page).finish().length).toBeLessThan(clientBytesMax);
    listed.push(...page.trafficPolicies.map(({ key }) => key?.service));
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  expect(listed).toEqual(names);
});

test('the dry run of a rollback says how much would change, and shows what fits in a reply that every client takes', async () => {
  const dry = await bench.client.routes.rollbackTenant({ tenant, revision: 1n, validateOnly: true, force: true });
  expect(RollbackTenantResponse.encode(dry).finish().length).toBeLessThan(clientBytesMax);
  expect(dry.changedCount).toBe(2 * resources);
  expect(dry.changes.length).toBeGreaterThan(0);
});

test('the dry run of a batch says what would change, and shows what fits in a reply that every client takes', async () => {
  const writes = names.map((service) => {
    const value = { key: keyOf(tenant, 'v1', { service }), etag: '' };
    return message(RouteWrite, { write: { $case: 'deactivateRoute', value } });
  });
  const dry = await bench.client.routes.batchWriteRoutes({ tenant, writes, validateOnly: true, force: true });
  expect(BatchWriteRoutesResponse.encode(dry).finish().length).toBeLessThan(clientBytesMax);
  expect(dry.results.map(({ changed }) => changed)).toEqual(names.map(() => true));
  expect(dry.results[0]?.change).toBeDefined();
});

test('a watch sends a snapshot of them in messages that every client takes', async () => {
  const routes: (string | undefined)[] = [];
  const policies: (string | undefined)[] = [];
  for await (const sent of bench.client.watch({ tenant })) {
    expect(WatchResponse.encode(sent).finish().length).toBeLessThan(clientBytesMax);
    if (sent.event?.$case !== 'snapshotChunk') throw new Error('a snapshot comes first');
    routes.push(...sent.event.value.routes.map(({ key }) => key?.service));
    policies.push(...sent.event.value.trafficPolicies.map(({ key }) => key?.service));
    if (sent.event.value.last) break;
  }
  expect(new Set(routes)).toEqual(new Set(names));
  expect(routes).toHaveLength(names.length);
  expect(new Set(policies)).toEqual(new Set(names));
  expect(policies).toHaveLength(names.length);
});
