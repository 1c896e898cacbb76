import { once } from 'node:events';
import { isDeepStrictEqual } from 'node:util';
import {
  Metadata,
  Server,
  ServerCredentials,
  status,
  type sendUnaryData,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
} from '@grpc/grpc-js';
import { Change, ChangeAction } from '../../src/gen/trafficmanager/v1/change.ts';
import {
  ResolverServiceService,
  type ResolveRequest,
  type ResolveResponse,
  type StreamResolveRequest,
  type StreamResolveResponse,
} from '../../src/gen/trafficmanager/v1/resolver_service.ts';
import { RouteState, type Route, type RouteKey } from '../../src/gen/trafficmanager/v1/route.ts';
import {
  RouteServiceService,
  type BatchWriteRoutesRequest,
  type BatchWriteRoutesResponse,
  type CreateRouteRequest,
  type ListRoutesRequest,
  type RouteWrite,
  type UpdateRouteRequest,
} from '../../src/gen/trafficmanager/v1/route_service.ts';
import { TenantState, type Tenant } from '../../src/gen/trafficmanager/v1/tenant.ts';
import {
  TenantServiceService,
  type CreateTenantRequest,
  type UpdateTenantRequest,
} from '../../src/gen/trafficmanager/v1/tenant_service.ts';
import type { TrafficPolicy } from '../../src/gen/trafficmanager/v1/traffic_policy.ts';
import {
  TrafficPolicyServiceService,
  type SetTrafficPolicyRequest,
} from '../../src/gen/trafficmanager/v1/traffic_policy_service.ts';
import {
  WatchServiceService,
  type WatchRequest,
  type WatchResponse,
} from '../../src/gen/trafficmanager/v1/watch_service.ts';
import { notFound, Refusal, replyWithError, wrongField } from './cli-refusal.ts';

/** A call as the server saw it. */
export interface SeenCall {
  readonly method: string;
  readonly request: unknown;
  readonly metadata: Record<string, unknown>;
  readonly deadline: Date | number;
}

/** A real gRPC server over Maps: as much of the contract as the client and the command line need. */
export interface FakeControlPlane extends AsyncDisposable {
  readonly address: string;
  readonly calls: SeenCall[];
  readonly tenants: Map<string, Tenant>;
  readonly routes: Map<string, Route>;
  readonly policies: Map<string, TrafficPolicy>;
  /** Runs before every unary call; what it throws is the answer, a promise holds the call back. */
  intercept: (call: SeenCall) => void | Promise<void>;
  /** Serves every watch. */
  watch: (call: ServerWritableStream<WatchRequest, WatchResponse>) => Promise<void>;
  /** How many calls were under way at most. */
  readonly inFlightPeak: () => number;
}

export async function startFakeControlPlane(bindAddress = '127.0.0.1:0'): Promise<FakeControlPlane> {
  const server = new Server();
  const calls: SeenCall[] = [];
  const tenants = new Map<string, Tenant>();
  const routes = new Map<string, Route>();
  const policies = new Map<string, TrafficPolicy>();
  let inFlight = 0;
  let peak = 0;

  function unary<Request, Response>(method: string, handle: (request: Request) => Response) {
    async function answer(call: ServerUnaryCall<Request, Response>, reply: sendUnaryData<Response>): Promise<void> {
      const trailers = new Metadata();
      trailers.set('x-correlation-id', String(call.metadata.get('x-correlation-id')[0] ?? 'made-by-server'));
      peak = Math.max(peak, ++inFlight);
      try {
        await fake.intercept(see(method, call));
        reply(null, handle(call.request), trailers);
      } catch (error) {
        replyWithError(error, trailers, reply);
      } finally {
        inFlight--;
      }
    }
    return (call: ServerUnaryCall<Request, Response>, reply: sendUnaryData<Response>): void => {
      void answer(call, reply);
    };
  }

  function see(
    method: string,
    call: ServerUnaryCall<unknown, unknown> | ServerWritableStream<unknown, unknown>,
  ): SeenCall {
    const seen = { method, request: call.request, metadata: call.metadata.getMap(), deadline: call.getDeadline() };
    calls.push(seen);
    return seen;
  }

  function commit(tenant: string, change: Pick<Change, 'action' | 'resource'>): Change {
    const owner = tenants.get(tenant);
    if (owner === undefined) throw notFound('TENANT_NOT_FOUND', `tenant ${tenant}`);
    owner.revision += 1n;
    return { ...Change.decode(new Uint8Array()), tenant, revision: owner.revision, ...change };
  }

  /** All or nothing, as the real one; only routes, and of them what the command line writes. */
  function batchWriteRoutes({ tenant, writes, force }: BatchWriteRoutesRequest): BatchWriteRoutesResponse {
    const before = new Map(routes);
    const owner = tenants.get(tenant);
    const revision = owner?.revision ?? 0n;
    try {
      if (writes.length > 10_000) throw wrongField('writes', 'has more than 10000 entries');
      const written = writes.map((write, index) => writeOfBatch(write, index));
      if (!force) assertNotShrunk(tenant, before);
      const results = written.map(({ route, change }) => {
        return { revision: route.revision, etag: route.etag, changed: change !== undefined, change: undefined };
      });
      return { results, revision: owner?.revision ?? 0n };
    } catch (error) {
      routes.clear();
      for (const [name, route] of before) routes.set(name, route);
      if (owner !== undefined) owner.revision = revision;
      throw error;
    }
  }

  function writeOfBatch({ write }: RouteWrite, index: number) {
    try {
      if (write?.$case === 'deactivateRoute') return deactivateRoute(write.value);
      throw wrongField(`writes[${index}]`, 'is of a kind that this fake does not know');
    } catch (error) {
      if (error instanceof Refusal) error.metadata['index'] = String(index);
      throw error;
    }
  }

  function assertNotShrunk(tenant: string, before: ReadonlyMap<string, Route>): void {
    const active = [...before].filter(
      ([, { key, state }]) => key?.tenant === tenant && state === RouteState.ROUTE_STATE_ACTIVE,
    );
    const lost = active.filter(([name]) => routes.get(name)?.state !== RouteState.ROUTE_STATE_ACTIVE).length;
    if (lost <= Math.max(10, Math.floor(active.length / 5))) return;
    throw new Refusal({
      code: status.FAILED_PRECONDITION,
      reason: 'SHRINK_REFUSED',
      message: `${lost} of ${active.length} are too many.`,
    });
  }

  function saveRoute(after: Route, action: ChangeAction): { route: Route; revision: bigint; change: Change } {
    const key = after.key!;
    const before = routes.get(routeName(key));
    const change = commit(key.tenant, { action, resource: { $case: 'route', value: { before, after } } });
    const route = { ...after, revision: change.revision, etag: `e${change.revision}` };
    routes.set(routeName(key), route);
    return { route, revision: change.revision, change };
  }

  function createRoute({ route }: CreateRouteRequest) {
    const before = routes.get(routeName(route!.key!));
    const state = route!.state === 0 ? RouteState.ROUTE_STATE_ACTIVE : route!.state;
    if (before === undefined || before.state === RouteState.ROUTE_STATE_DELETED) {
      return saveRoute({ ...route!, state }, ChangeAction.CHANGE_ACTION_CREATED);
    }
    const value = ({ endpoints, labels }: Route) => ({ endpoints, labels });
    if (before.state === state && isDeepStrictEqual(value(before), value(route!))) {
      return { route: before, revision: before.revision, change: undefined };
    }
    throw new Refusal({ code: status.ALREADY_EXISTS, reason: 'ALREADY_EXISTS', message: 'There is one.' });
  }

  function updateRoute({ route }: UpdateRouteRequest) {
    const before = routes.get(routeName(route!.key!));
    if (before === undefined) throw notFound('ROUTE_NOT_FOUND', routeName(route!.key!));
    const { endpoints, labels } = route!;
    const same = isDeepStrictEqual({ endpoints, labels }, { endpoints: before.endpoints, labels: before.labels });
    if (same) return { route: before, revision: before.revision, change: undefined };
    return saveRoute({ ...before, endpoints, labels }, ChangeAction.CHANGE_ACTION_UPDATED);
  }

  /** Of a deleted route the state can be changed by undeleting it only. */
  const ofLiveRoutes: ReadonlySet<ChangeAction> = new Set([
    ChangeAction.CHANGE_ACTION_ACTIVATED,
    ChangeAction.CHANGE_ACTION_DEACTIVATED,
  ]);

  function setState(state: RouteState, action: ChangeAction) {
    return ({ key }: { key?: RouteKey | undefined }) => {
      const before = routes.get(routeName(key!));
      if (before === undefined) throw notFound('ROUTE_NOT_FOUND', routeName(key!));
      if (before.state === RouteState.ROUTE_STATE_DELETED && ofLiveRoutes.has(action)) {
        throw new Refusal({ code: status.FAILED_PRECONDITION, reason: 'ROUTE_DELETED', message: 'It is deleted.' });
      }
      if (before.state === state) return { route: before, revision: before.revision, change: undefined };
      return saveRoute({ ...before, state }, action);
    };
  }

  function listRoutes({ tenant, pageSize, pageToken }: ListRoutesRequest) {
    const all = [...routes.values()].filter(({ key }) => key!.tenant === tenant);
    const start = Number(pageToken);
    const next = start + pageSize;
    return {
      routes: all.slice(start, next),
      nextPageToken: next < all.length ? String(next) : '',
      revision: tenants.get(tenant)?.revision ?? 0n,
    };
  }

  function createTenant({ tenant }: CreateTenantRequest) {
    const before = tenants.get(tenant!.tenant);
    if (before === undefined) {
      tenants.set(tenant!.tenant, { ...tenant!, state: TenantState.TENANT_STATE_ACTIVE, revision: 0n });
      const resource = { $case: 'tenantChange' as const, value: { before, after: tenant } };
      const change = commit(tenant!.tenant, { action: ChangeAction.CHANGE_ACTION_CREATED, resource });
      return { tenant: tenants.get(tenant!.tenant), change };
    }
    if (before.displayName === tenant!.displayName) return { tenant: before, change: undefined };
    throw new Refusal({ code: status.ALREADY_EXISTS, reason: 'ALREADY_EXISTS', message: 'Another display name.' });
  }

  function updateTenant({ tenant, updateMask }: UpdateTenantRequest) {
    const before = tenants.get(tenant!.tenant);
    if (before === undefined) throw notFound('TENANT_NOT_FOUND', `tenant ${tenant!.tenant}`);
    const { displayName } = updateMask?.includes('display_name') === true ? tenant! : before;
    if (displayName === before.displayName) return { tenant: before, change: undefined };
    const after = { ...before, displayName };
    tenants.set(tenant!.tenant, after);
    const resource = { $case: 'tenantChange' as const, value: { before, after } };
    return { tenant: after, change: commit(tenant!.tenant, { action: ChangeAction.CHANGE_ACTION_UPDATED, resource }) };
  }

  function setTrafficPolicy({ trafficPolicy }: SetTrafficPolicyRequest) {
    const after = trafficPolicy!;
    const key = after.key!;
    const name = `${key.tenant}/${key.service}/${key.environment}`;
    for (const version of [after.defaultVersion, ...after.split.map((branch) => branch.version)].filter(Boolean)) {
      if (!routes.has(`${name}/${version}`)) {
        throw new Refusal({ code: status.FAILED_PRECONDITION, reason: 'VERSION_NOT_FOUND', message: `No ${version}.` });
      }
    }
    const before = policies.get(name);
    const valueOf = (policy: TrafficPolicy) => ({ ...policy, revision: 0n, etag: '', updatedBy: '' });
    if (before !== undefined && isDeepStrictEqual(valueOf(before), valueOf(after))) {
      return { trafficPolicy: before, revision: before.revision, change: undefined };
    }
    const action = before === undefined ? ChangeAction.CHANGE_ACTION_CREATED : ChangeAction.CHANGE_ACTION_UPDATED;
    const resource = { $case: 'trafficPolicy' as const, value: { key, before, after } };
    const change = commit(key.tenant, { action, resource });
    policies.set(name, { ...after, revision: change.revision });
    return { trafficPolicy: policies.get(name), revision: change.revision, change };
  }

  function resolve({ key }: ResolveRequest): ResolveResponse {
    const policy = policies.get(`${key!.tenant}/${key!.service}/${key!.environment}`);
    const route = routes.get(routeName({ ...key!, version: key!.version || policy?.defaultVersion || '' }));
    if (route === undefined) throw notFound('ROUTE_NOT_FOUND', routeName(key!));
    const freshness = { source: 1, revision: route.revision, stalenessMs: 0n, stale: false } as const;
    return { route, trafficPolicy: policy, selectionReason: key!.version === '' ? 3 : 1, matchRule: '', freshness };
  }

  async function streamResolve(call: ServerDuplexStream<StreamResolveRequest, StreamResolveResponse>): Promise<void> {
    for await (const { requests } of call as AsyncIterable<StreamResolveRequest>) {
      call.write({ results: requests.map((request) => ({ result: { $case: 'response', value: resolve(request) } })) });
    }
    call.end();
  }

  const { ROUTE_STATE_ACTIVE, ROUTE_STATE_INACTIVE, ROUTE_STATE_DELETED } = RouteState;
  const deactivateRoute = setState(ROUTE_STATE_INACTIVE, ChangeAction.CHANGE_ACTION_DEACTIVATED);
  server.addService(RouteServiceService, {
    createRoute: unary('CreateRoute', createRoute),
    updateRoute: unary('UpdateRoute', updateRoute),
    listRoutes: unary('ListRoutes', listRoutes),
    getRoute: unary('GetRoute', ({ key }: { key?: RouteKey }) => {
      const route = routes.get(routeName(key!));
      if (route === undefined) throw notFound('ROUTE_NOT_FOUND', routeName(key!));
      return { route };
    }),
    activateRoute: unary('ActivateRoute', setState(ROUTE_STATE_ACTIVE, ChangeAction.CHANGE_ACTION_ACTIVATED)),
    deactivateRoute: unary('DeactivateRoute', deactivateRoute),
    deleteRoute: unary('DeleteRoute', setState(ROUTE_STATE_DELETED, ChangeAction.CHANGE_ACTION_DELETED)),
    undeleteRoute: unary('UndeleteRoute', setState(ROUTE_STATE_ACTIVE, ChangeAction.CHANGE_ACTION_UNDELETED)),
    batchWriteRoutes: unary('BatchWriteRoutes', batchWriteRoutes),
  });
  server.addService(TenantServiceService, {
    createTenant: unary('CreateTenant', createTenant),
    updateTenant: unary('UpdateTenant', updateTenant),
    getTenant: unary('GetTenant', ({ tenant }: { tenant: string }) => ({ tenant: tenants.get(tenant) })),
    listTenants: unary('ListTenants', () => ({ tenants: [...tenants.values()], nextPageToken: '' })),
  });
  server.addService(TrafficPolicyServiceService, {
    setTrafficPolicy: unary('SetTrafficPolicy', setTrafficPolicy),
    getTrafficPolicy: unary('GetTrafficPolicy', () => {
      throw notFound('TRAFFIC_POLICY_NOT_FOUND', 'policy');
    }),
  });
  server.addService(ResolverServiceService, {
    resolve: unary('Resolve', resolve),
    batchResolve: unary('BatchResolve', () => ({ results: [] })),
    streamResolve: (call: ServerDuplexStream<StreamResolveRequest, StreamResolveResponse>) => {
      // A caller that goes away is no failure of the server's.
      streamResolve(call).catch(() => undefined);
    },
  });
  server.addService(WatchServiceService, {
    watch: (call: ServerWritableStream<WatchRequest, WatchResponse>) => {
      see('Watch', call);
      void fake.watch(call);
    },
  });

  const port = await new Promise<number>((resolvePort, reject) => {
    server.bindAsync(bindAddress, ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolvePort(bound);
      else reject(error);
    });
  });
  const fake: FakeControlPlane = {
    address: bindAddress.startsWith('unix:') ? bindAddress : `127.0.0.1:${port}`,
    calls,
    tenants,
    routes,
    policies,
    intercept: () => undefined,
    watch: async (call) => {
      await once(call, 'cancelled');
    },
    inFlightPeak: () => peak,
    [Symbol.asyncDispose]: async () => server.forceShutdown(),
  };
  return fake;
}

function routeName({ tenant, service, environment, version }: RouteKey): string {
  return `${tenant}/${service}/${environment}/${version}`;
}
