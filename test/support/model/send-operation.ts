import {
  Endpoint,
  message,
  Route,
  RouteState,
  TrafficPolicy,
  WeightedVersion,
  type Change,
  type RouteKey,
  type TrafficManagerClient,
  type TrafficPolicyKey,
} from '../../../src/client/index.ts';
import {
  ChangeOrder,
  ChangeServiceService,
  ListChangesRequest,
} from '../../../src/gen/trafficmanager/v1/change_service.ts';
import type { RouteWrite } from '../../../src/gen/trafficmanager/v1/route_service.ts';
import type { LiveState, Mutation, Operation, Read, Reply, Write } from './operation.ts';

/** Makes one attempt at an operation; throws the client's error. */
export async function send(client: TrafficManagerClient, operation: Operation, timeoutMs: number): Promise<Reply> {
  const options = { correlationId: operation.id, actor: 'model', timeoutMs };
  return operation.kind === 'read'
    ? await sendRead(client, operation, options)
    : await sendWrite(client, operation, options);
}

/** The whole change log, oldest first. */
export async function readLog(client: TrafficManagerClient, tenant: string): Promise<Change[]> {
  const changes: Change[] = [];
  for (let pageToken = ''; ;) {
    const request = message(ListChangesRequest, {
      tenant,
      order: ChangeOrder.CHANGE_ORDER_OLDEST_FIRST,
      pageSize: 1_000,
      pageToken,
    });
    const page = await client.transport.unary(ChangeServiceService.listChanges, request);
    changes.push(...page.changes);
    if (page.nextPageToken === '') return changes;
    pageToken = page.nextPageToken;
  }
}

function routeKeyOf(tenant: string, path: string): RouteKey {
  const [service = '', environment = '', version = ''] = path.split('/');
  return { tenant, service, environment, version };
}

function policyKeyOf(tenant: string, group: string): TrafficPolicyKey {
  const { service, environment } = routeKeyOf(tenant, group);
  return { tenant, service, environment };
}

type Options = { readonly correlationId: string; readonly actor: string; readonly timeoutMs: number };

type Single = { readonly route?: Route | undefined; readonly revision: bigint; readonly change?: Change | undefined };

function replyOf({ revision, change, ...resource }: Single & { trafficPolicy?: TrafficPolicy | undefined }): Reply {
  return {
    revision: Number(revision),
    changes: change === undefined ? [] : [change],
    route: resource.route,
    policy: resource.trafficPolicy,
  };
}

async function sendWrite(client: TrafficManagerClient, write: Write, options: Options): Promise<Reply> {
  const { tenant, work, requestId, validateOnly } = write;
  const call = { requestId, validateOnly };
  const { routes } = client;
  switch (work.kind) {
    case 'single':
      return replyOf(await sendSingle(client, tenant, work.mutation, call, options));
    case 'batch': {
      const writes = work.mutations.map((mutation) => batchWriteOf(tenant, mutation));
      const { results, revision } = await routes.batchWriteRoutes(
        { tenant, writes, force: work.force, ...call },
        options,
      );
      return { revision: Number(revision), changes: results.flatMap(({ change }) => change ?? []), results };
    }
    case 'rollback_route': {
      const { etag } = work;
      const revision = BigInt(work.revision);
      return replyOf(
        await routes.rollbackRoute({ key: routeKeyOf(tenant, work.path), revision, etag, ...call }, options),
      );
    }
    case 'rollback_tenant': {
      const request = { tenant, revision: BigInt(work.revision), force: work.force, ...call };
      const { revision, changedCount, changes } = await routes.rollbackTenant(request, options);
      return { revision: Number(revision), changes, changedCount };
    }
  }
}

async function sendSingle(
  { routes, policies }: TrafficManagerClient,
  tenant: string,
  mutation: Mutation,
  call: { readonly requestId: string; readonly validateOnly: boolean },
  options: Options,
): Promise<Single> {
  switch (mutation.kind) {
    case 'create':
      return await routes.createRoute({ route: routeOf(tenant, mutation), ...call }, options);
    case 'update': {
      const allowMissing = mutation.createAs !== undefined;
      const route = routeOf(tenant, { ...mutation, state: mutation.createAs });
      return await routes.updateRoute({ route, updateMask: maskOf(mutation.mask), allowMissing, ...call }, options);
    }
    case 'set_policy':
      return await policies.setTrafficPolicy({ trafficPolicy: policyOf(tenant, mutation), ...call }, options);
    case 'delete_policy': {
      const { etag, group } = mutation;
      return await policies.deleteTrafficPolicy({ key: policyKeyOf(tenant, group), etag, ...call }, options);
    }
    case 'activate':
    case 'deactivate':
    case 'delete':
    case 'undelete': {
      const method = `${mutation.kind}Route` as const;
      return await routes[method]({ key: routeKeyOf(tenant, mutation.path), etag: mutation.etag, ...call }, options);
    }
  }
}

function batchWriteOf(tenant: string, mutation: Mutation): RouteWrite {
  switch (mutation.kind) {
    case 'create':
      return { write: { $case: 'createRoute', value: routeOf(tenant, mutation) } };
    case 'update': {
      const route = routeOf(tenant, { ...mutation, state: mutation.createAs });
      const value = { route, updateMask: maskOf(mutation.mask), allowMissing: mutation.createAs !== undefined };
      return { write: { $case: 'updateRoute', value } };
    }
    case 'set_policy':
      return { write: { $case: 'setTrafficPolicy', value: policyOf(tenant, mutation) } };
    case 'delete_policy': {
      const value = { key: policyKeyOf(tenant, mutation.group), etag: mutation.etag };
      return { write: { $case: 'deleteTrafficPolicy', value } };
    }
    case 'activate':
    case 'deactivate':
    case 'delete':
    case 'undelete': {
      const value = { key: routeKeyOf(tenant, mutation.path), etag: mutation.etag };
      return { write: { $case: `${mutation.kind}Route`, value } };
    }
  }
}

async function sendRead(client: TrafficManagerClient, { tenant, what }: Read, options: Options): Promise<Reply> {
  const { routes, policies, resolver } = client;
  switch (what.kind) {
    case 'get_route': {
      const { route } = await routes.getRoute({ key: routeKeyOf(tenant, what.path) }, options);
      return { revision: undefined, changes: [], route };
    }
    case 'get_policy': {
      const { trafficPolicy } = await policies.getTrafficPolicy({ key: policyKeyOf(tenant, what.group) }, options);
      return { revision: undefined, changes: [], policy: trafficPolicy };
    }
    case 'list_routes': {
      const at =
        what.atRevision === undefined ? undefined : ({ $case: 'atRevision', value: BigInt(what.atRevision) } as const);
      const page = await routes.listRoutes({ tenant, pageSize: 1_000, showDeleted: true, at }, options);
      return { revision: Number(page.revision), changes: [], routes: page.routes };
    }
    case 'resolve': {
      const { kind } = what.consistency;
      const revision = 'revision' in what.consistency ? BigInt(what.consistency.revision) : 0n;
      const key = routeKeyOf(tenant, what.path);
      const strong = { requirement: { $case: 'strong', value: true } } as const;
      const atLeast = { requirement: { $case: 'minRevision', value: revision } } as const;
      const asked = {
        eventual: { key },
        strong: { key, consistency: strong },
        min_revision: { key, consistency: atLeast },
        at_revision: { key, at: { $case: 'atRevision', value: revision } as const },
      }[kind];
      const { route, trafficPolicy, freshness } = await resolver.resolve(asked, options);
      return { revision: Number(freshness?.revision), changes: [], route, policy: trafficPolicy };
    }
  }
}

function routeOf(
  tenant: string,
  {
    path,
    value,
    state,
    etag,
  }: {
    readonly path: string;
    readonly value: { readonly hosts: readonly string[]; readonly label: string };
    readonly state: LiveState | undefined;
    readonly etag?: string;
  },
): Route {
  return message(Route, {
    key: routeKeyOf(tenant, path),
    endpoints: value.hosts.map((host) => message(Endpoint, { url: `grpc://${host}` })),
    labels: value.label === '' ? {} : { label: value.label },
    state: state === 'INACTIVE' ? RouteState.ROUTE_STATE_INACTIVE : RouteState.ROUTE_STATE_ACTIVE,
    etag: etag ?? '',
  });
}

function policyOf(tenant: string, { group, value, etag }: Extract<Mutation, { kind: 'set_policy' }>): TrafficPolicy {
  return message(TrafficPolicy, {
    key: policyKeyOf(tenant, group),
    defaultVersion: value.defaultVersion,
    split: value.split.map((branch) => {
      const [version = '', weight] = branch.split('=');
      return message(WeightedVersion, { version, weight: Number(weight) });
    }),
    etag,
  });
}

function maskOf(mask: 'endpoints' | 'labels' | 'both'): string[] {
  return mask === 'both' ? [] : [mask];
}
