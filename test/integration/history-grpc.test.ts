import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { readSidecarConfig } from '../../sidecar/config.ts';
import { startSidecar, type Sidecar } from '../../sidecar/sidecar.ts';
import {
  ChangeAction,
  ChangeOrder,
  createClient,
  Endpoint,
  FreshnessSource,
  message,
  Route,
  RouteState,
  Tenant,
  type TrafficManagerError,
  TrafficPolicy,
  type Change,
  type Fields,
  type ResolveRequest,
  type TrafficManagerClient,
} from '../../src/client/index.ts';
import type { ListChangesRequest } from '../../src/gen/trafficmanager/v1/change_service.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { startTestControlPlane, startTestReplicas, type TestReplicas } from '../support/control-plane.ts';

const farFuture = new Date('2999-01-01T00:00:00Z');

describe('history over gRPC', () => {
  let replicas: TestReplicas;
  let client: TrafficManagerClient;
  let other: TrafficManagerClient;
  let sidecar: Sidecar;
  let app: TrafficManagerClient;
  let tenants = 0;

  beforeAll(async () => {
    replicas = await startTestReplicas(inject('postgresUrl'), 2);
    const [first, second] = replicas.replicas;
    if (first === undefined || second === undefined) throw new Error('there are two');
    client = first.client;
    other = second.client;
    const config = readSidecarConfig({
      TM_SIDECAR_ADDRESS: '127.0.0.1:0',
      TM_SIDECAR_SOCKET: 'off',
      TM_SIDECAR_SOURCE: `grpc://${first.address}`,
      TM_SIDECAR_TENANTS: '*',
    });
    sidecar = await startSidecar(config, createLogger('sidecar', 'silent'));
    app = createClient({ address: sidecar.addresses[0] ?? '', defaults: { timeoutMs: 30_000 } });
  });
  afterAll(async () => {
    app.close();
    await sidecar[Symbol.asyncDispose]();
    await replicas[Symbol.asyncDispose]();
  });

  function keyOf(tenant: string, version = 'v1') {
    return { tenant, service: 'cart', environment: 'production', version };
  }

  function routeOf(tenant: string, { version = 'v1', url = 'grpc://cart:1' } = {}): Route {
    return message(Route, { key: keyOf(tenant, version), endpoints: [message(Endpoint, { url })] });
  }

  /** A tenant with this history: 1 created, 2 v1 created, 3 policy to v1, 4 v2 created, 5 policy to v2, 6 v1 moved, 7 v1 deactivated. */
  async function newTenant(): Promise<{ tenant: string; changes: Change[] }> {
    tenants += 1;
    const tenant = `tenant-${tenants}`;
    const as = (actor: string, correlationId: string) => ({ actor, correlationId });
    const policy = (defaultVersion: string) => message(TrafficPolicy, { key: keyOf(tenant), defaultVersion });
    await client.tenants.createTenant({ tenant: message(Tenant, { tenant }) }, as('root', 'setup'));
    await client.routes.createRoute({ route: routeOf(tenant) }, as('alice', 'first-deploy'));
    await client.policies.setTrafficPolicy({ trafficPolicy: policy('v1') }, as('alice', 'first-deploy'));
    await client.routes.createRoute({ route: routeOf(tenant, { version: 'v2' }) }, as('bob', 'second-deploy'));
    await client.policies.setTrafficPolicy({ trafficPolicy: policy('v2') }, as('bob', 'second-deploy'));
    await client.routes.updateRoute({ route: routeOf(tenant, { url: 'grpc://moved:1' }) }, as('alice', 'move'));
    await client.routes.deactivateRoute({ key: keyOf(tenant) }, as('bob', 'retire'));
    const { changes } = await other.changes.listChanges({ tenant, order: ChangeOrder.CHANGE_ORDER_OLDEST_FIRST });
    expect(changes.map((change) => change.revision)).toEqual([1n, 2n, 3n, 4n, 5n, 6n, 7n]);
    return { tenant, changes };
  }

  async function revisions(request: Fields<ListChangesRequest>): Promise<number[]> {
    const { changes } = await other.changes.listChanges(request);
    return changes.map((change) => Number(change.revision));
  }

  test('says who changed a route, when, from what to what', async () => {
    const { tenant } = await newTenant();
    const { changes, revision, nextPageToken } = await other.changes.listChanges({ ...keyOf(tenant) });
    expect([revision, nextPageToken]).toEqual([7n, '']);
    expect(changes.map(({ actor, correlationId }) => [actor, correlationId])).toEqual([
      ['bob', 'retire'],
      ['alice', 'move'],
      ['alice', 'first-deploy'],
    ]);
    const [retired, moved] = changes.map(({ resource }) => (resource?.$case === 'route' ? resource.value : undefined));
    expect(moved?.before?.endpoints[0]?.url).toBe('grpc://cart:1');
    expect(moved?.after?.endpoints[0]?.url).toBe('grpc://moved:1');
    expect([retired?.before?.state, retired?.after?.state]).toEqual([
      RouteState.ROUTE_STATE_ACTIVE,
      RouteState.ROUTE_STATE_INACTIVE,
    ]);
    expect(retired?.after?.updateTime).toEqual(changes[0]?.commitTime);
  });

  test('answers each filter, and all that are set together', async () => {
    const { tenant, changes } = await newTenant();
    const deactivated = [ChangeAction.CHANGE_ACTION_DEACTIVATED];
    expect(await revisions({ tenant, actions: deactivated, startTime: new Date(Date.now() - 3_600_000) })).toEqual([7]);
    expect(await revisions({ tenant, correlationId: 'second-deploy' })).toEqual([5, 4]);
    expect(await revisions({ tenant, actor: 'alice' })).toEqual([6, 3, 2]);
    expect(await revisions({ tenant, actor: 'alice', version: 'v1' })).toEqual([6, 2]);
    expect(await revisions({ tenant, service: 'cart' })).toEqual([7, 6, 5, 4, 3, 2]);
    expect(await revisions({ tenant, environment: 'staging' })).toEqual([]);
    expect(await revisions({ tenant, revisionMin: 3n, revisionMax: 5n })).toEqual([5, 4, 3]);
    expect(await revisions({ tenant, endTime: changes[0]?.commitTime })).toEqual([]);
    const created = { tenant, actions: [ChangeAction.CHANGE_ACTION_CREATED, ChangeAction.CHANGE_ACTION_UPDATED] };
    expect(await revisions({ ...created, order: ChangeOrder.CHANGE_ORDER_OLDEST_FIRST })).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test('comes in pages whose token is good for its own question only', async () => {
    const { tenant } = await newTenant();
    const seen: number[] = [];
    let pageToken = '';
    do {
      const page = await other.changes.listChanges({ tenant, pageSize: 3, pageToken });
      seen.push(...page.changes.map((change) => Number(change.revision)));
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    expect(seen).toEqual([7, 6, 5, 4, 3, 2, 1]);
    const { nextPageToken } = await other.changes.listChanges({ tenant, pageSize: 3 });
    for (const others of [{ actor: 'alice' }, { order: ChangeOrder.CHANGE_ORDER_OLDEST_FIRST }, { revisionMax: 6n }]) {
      await expect(other.changes.listChanges({ tenant, pageToken: nextPageToken, ...others })).rejects.toMatchObject({
        reason: 'INVALID_FIELDS',
        fieldViolations: [{ field: 'page_token' }],
      });
    }
    // Said in another way, it is the same question.
    const same = { tenant, order: ChangeOrder.CHANGE_ORDER_NEWEST_FIRST, pageSize: 1, pageToken: nextPageToken };
    expect(await revisions(same)).toEqual([4]);
  });

  test.for<{ field: string; request: Fields<ListChangesRequest> }>([
    { field: 'tenant', request: { tenant: '' } },
    { field: 'service', request: { service: 'Cart' } },
    { field: 'environment', request: { environment: '-' } },
    { field: 'version', request: { version: 'a..b' } },
    {
      field: 'actions[1]',
      request: { actions: [ChangeAction.CHANGE_ACTION_CREATED, ChangeAction.CHANGE_ACTION_UNSPECIFIED] },
    },
    { field: 'actions[0]', request: { actions: [99 as ChangeAction] } },
    { field: 'actor', request: { actor: 'a'.repeat(129) } },
    { field: 'correlation_id', request: { correlationId: 'a\u0000b' } },
    { field: 'revision_min', request: { revisionMin: -1n } },
    { field: 'revision_max', request: { revisionMax: 2n ** 60n } },
    { field: 'start_time', request: { startTime: new Date('-000001-01-01T00:00:00Z') } },
    { field: 'end_time', request: { endTime: new Date('+010000-01-01T00:00:00Z') } },
    { field: 'order', request: { order: 7 as ChangeOrder } },
    { field: 'page_size', request: { pageSize: -1 } },
    { field: 'page_token', request: { pageToken: 'mine' } },
  ])('refuses a wrong $field', async ({ field, request }) => {
    await expect(other.changes.listChanges({ tenant: 'acme', ...request })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      fieldViolations: [expect.objectContaining({ field })],
    });
  });

  test('of an unknown tenant is NOT_FOUND', async () => {
    const calls = [
      () => other.changes.listChanges({ tenant: 'nobody' }),
      () => other.routes.listRoutes({ tenant: 'nobody', at: { $case: 'atRevision', value: 1n } }),
      () => other.resolver.resolve({ key: keyOf('nobody'), at: { $case: 'atTime', value: new Date() } }),
    ];
    for (const call of calls)
      await expect(call()).rejects.toMatchObject({ code: 'NOT_FOUND', reason: 'TENANT_NOT_FOUND' });
  });

  test('resolves as it was, on the control plane and through a sidecar', async () => {
    const { tenant, changes } = await newTenant();
    const key = keyOf(tenant, '');
    const at = (revision: number): NonNullable<ResolveRequest['at']>[] => [
      { $case: 'atRevision', value: BigInt(revision) },
      { $case: 'atTime', value: changes[revision - 1]?.commitTime ?? farFuture },
    ];
    const versions = new Map([
      [3, 'v1'],
      [4, 'v1'],
      [5, 'v2'],
      [7, 'v2'],
    ]);
    for (const [revision, version] of versions) {
      for (const [index, moment] of at(revision).entries()) {
        for (const from of [client, other, app]) {
          const answer = await from.resolver.resolve({
            key,
            at: moment,
            consistency: { requirement: { $case: 'minRevision', value: 99n } },
          });
          expect(answer.route?.key?.version).toBe(version);
          const found = { source: FreshnessSource.FRESHNESS_SOURCE_HISTORY, stalenessMs: 0n, stale: false };
          // Two changes of one millisecond: the moment has the later one.
          expect(answer.freshness).toMatchObject(index === 0 ? { ...found, revision: BigInt(revision) } : found);
        }
      }
    }
    const moved = await app.resolver.resolve({ key: keyOf(tenant), at: { $case: 'atRevision', value: 6n } });
    expect(moved.route?.endpoints[0]?.url).toBe('grpc://moved:1');
    for (const from of [client, app]) {
      const refused = async (version: string, revision: bigint): Promise<string> => {
        const call = from.resolver.resolve({
          key: keyOf(tenant, version),
          at: { $case: 'atRevision', value: revision },
        });
        return await call.then(
          () => '',
          (error: unknown) => (error as TrafficManagerError).reason,
        );
      };
      expect(await refused('v1', 1n)).toBe('ROUTE_NOT_FOUND');
      expect(await refused('', 2n)).toBe('VERSION_NOT_SELECTED');
      expect(await refused('v1', 7n)).toBe('ROUTE_INACTIVE');
      expect(await refused('v1', 8n)).toBe('REVISION_IN_FUTURE');
      expect(await refused('v1', 0n)).toBe('INVALID_FIELDS');
    }
    const before = new Date((changes[0]?.commitTime?.getTime() ?? 0) - 1);
    await expect(app.resolver.resolve({ key, at: { $case: 'atTime', value: before } })).rejects.toMatchObject({
      reason: 'TENANT_NOT_FOUND',
    });
    await expect(app.resolver.resolve({ key, at: { $case: 'atTime', value: farFuture } })).rejects.toMatchObject({
      code: 'OUT_OF_RANGE',
      reason: 'REVISION_IN_FUTURE',
    });
  });

  test('lists routes as they were, page by page, whatever is written meanwhile', async () => {
    const { tenant, changes } = await newTenant();
    await client.routes.deleteRoute({ key: keyOf(tenant) });
    const at = { $case: 'atTime', value: changes[5]?.commitTime ?? farFuture } as const;
    const first = await other.routes.listRoutes({ tenant, pageSize: 1, at });
    await client.routes.updateRoute({ route: routeOf(tenant, { version: 'v2', url: 'grpc://later:1' }) });
    const second = await other.routes.listRoutes({ tenant, pageSize: 1, at, pageToken: first.nextPageToken });
    expect([...first.routes, ...second.routes].map((route) => [route.key?.version, route.endpoints[0]?.url])).toEqual([
      ['v1', 'grpc://moved:1'],
      ['v2', 'grpc://cart:1'],
    ]);
    expect([first.revision, second.revision, second.nextPageToken]).toEqual([6n, 6n, '']);
    const states = async (revision: bigint, showDeleted: boolean): Promise<number[]> => {
      const { routes } = await other.routes.listRoutes({
        tenant,
        showDeleted,
        at: { $case: 'atRevision', value: revision },
      });
      return routes.map((route) => route.state);
    };
    const { ROUTE_STATE_ACTIVE, ROUTE_STATE_INACTIVE, ROUTE_STATE_DELETED } = RouteState;
    expect(await states(1n, true)).toEqual([]);
    expect(await states(7n, true)).toEqual([ROUTE_STATE_INACTIVE, ROUTE_STATE_ACTIVE]);
    expect(await states(8n, false)).toEqual([ROUTE_STATE_ACTIVE]);
    expect(await states(8n, true)).toEqual([ROUTE_STATE_DELETED, ROUTE_STATE_ACTIVE]);
    const page = { tenant, pageSize: 1, pageToken: first.nextPageToken };
    await expect(other.routes.listRoutes({ ...page, at: { $case: 'atRevision', value: 6n } })).rejects.toMatchObject({
      fieldViolations: [{ field: 'page_token' }],
    });
    await expect(other.routes.listRoutes(page)).rejects.toMatchObject({ fieldViolations: [{ field: 'page_token' }] });
    await expect(states(100n, false)).rejects.toMatchObject({ code: 'OUT_OF_RANGE', reason: 'REVISION_IN_FUTURE' });
  });

  test('that retention has removed is OUT_OF_RANGE everywhere; a watcher and a replica from before it start again', async () => {
    const { tenant, changes } = await newTenant();
    const database = new Client({ connectionString: replicas.databaseUrl });
    await database.connect();
    try {
      await database.query('SET session_replication_role = replica');
      await database.query(
        `UPDATE changes SET commit_time = commit_time - interval '90 days' WHERE tenant = $1 AND revision <= 6`,
        [tenant],
      );
      await database.query('RESET session_replication_role');
      await database.query(`SELECT compact_changes($1, '30 days', 1000)`, [tenant]);
    } finally {
      await database.end();
    }
    const compacted = { code: 'OUT_OF_RANGE', reason: 'REVISION_COMPACTED' };
    const at = { $case: 'atRevision', value: 5n } as const;
    await expect(other.resolver.resolve({ key: keyOf(tenant), at })).rejects.toMatchObject(compacted);
    await expect(app.resolver.resolve({ key: keyOf(tenant), at })).rejects.toMatchObject(compacted);
    await expect(other.routes.listRoutes({ tenant, at })).rejects.toMatchObject(compacted);
    await expect(other.changes.listChanges({ tenant, revisionMin: 5n })).rejects.toMatchObject(compacted);
    await expect(other.routes.rollbackRoute({ key: keyOf(tenant), revision: 5n })).rejects.toMatchObject(compacted);
    await expect(other.routes.rollbackTenant({ tenant, revision: 5n })).rejects.toMatchObject(compacted);
    expect(await revisions({ tenant })).toEqual([7, 6]);
    // Memory may still hold what the log no longer has; a replica that has just started has neither.
    await using fresh = await startTestControlPlane(replicas.databaseUrl);
    const resumed = async (afterRevision: bigint): Promise<unknown> => {
      const stop = new AbortController();
      const seen: number[] = [];
      try {
        for await (const { event } of fresh.client.watch({ tenant, afterRevision }, { signal: stop.signal })) {
          if (event?.$case !== 'changeBatch') continue;
          seen.push(...event.value.changes.map((change) => Number(change.revision)));
          if (seen.at(-1) === 7) stop.abort();
        }
      } catch (error) {
        if (!stop.signal.aborted) throw error;
      }
      return seen;
    };
    await expect(resumed(4n)).rejects.toMatchObject(compacted);
    await expect(resumed(0n)).rejects.toMatchObject(compacted);
    expect(await resumed(6n)).toEqual([7]);
    const restored = await fresh.client.routes.rollbackRoute({ key: keyOf(tenant), revision: 6n });
    expect(restored.route?.state).toBe(RouteState.ROUTE_STATE_ACTIVE);
    expect(changes[5]?.revision).toBe(6n);
  });
});
