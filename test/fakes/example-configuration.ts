import type { Endpoint } from '../../src/domain/endpoint.ts';
import type { Mutation } from '../../src/domain/mutation.ts';
import type { RouteKey, RouteValue } from '../../src/domain/route.ts';
import type { Tenant } from '../../src/domain/tenant.ts';
import type { Transaction } from '../../src/domain/transaction.ts';

/** Ordinary values for tests that do not care which: what a test is about, it names itself. */

export const exampleTenant = 'acme';

export function exampleEndpoint(fields: Partial<Endpoint> = {}): Endpoint {
  return { url: 'grpc://cart.acme.internal:8443', weight: 1, zone: '', priority: 0, labels: {}, ...fields };
}

export function exampleKey(version = 'v1', fields: Partial<RouteKey> = {}): RouteKey {
  return { tenant: exampleTenant, service: 'cart', environment: 'production', version, ...fields };
}

export function exampleRouteValue(fields: Partial<RouteValue> = {}): RouteValue {
  return { endpoints: [exampleEndpoint()], labels: {}, lifecycle: { state: 'ACTIVE' }, ...fields };
}

export function createRoute(key: RouteKey, fields: Partial<RouteValue> = {}): Mutation {
  return { kind: 'create_route', key, value: exampleRouteValue(fields) };
}

/** Replaces a route's endpoints by one with this URL. */
export function moveRoute(key: RouteKey, url: string): Mutation {
  const endpoints = [exampleEndpoint({ url })];
  return { kind: 'update_route', key, endpoints, labels: undefined, createAs: undefined, etag: '' };
}

export function createTenant(tenant: string, displayName = ''): Mutation {
  return { kind: 'create_tenant', tenant, value: { displayName, quotas: {} } };
}

/** A tenant as committed. */
export function exampleTenantRecord(fields: Partial<Tenant> = {}): Tenant {
  const own = { displayName: '', quotas: {}, state: 'ACTIVE', etag: 'etag' } as const;
  return { tenant: exampleTenant, ...own, revision: 1, ownRevision: 1, createTimeMs: 1, ...fields };
}

export function setDefaultVersion(key: Omit<RouteKey, 'version'>, defaultVersion: string): Mutation {
  const { tenant, service, environment } = key;
  return {
    kind: 'set_traffic_policy',
    key: { tenant, service, environment },
    value: { defaultVersion, split: [], rules: [] },
    etag: '',
  };
}

export function transactionOf(
  tenant: string,
  commitId: string,
  mutations: readonly Mutation[],
  fields: Partial<Transaction> = {},
): Transaction {
  return {
    tenant,
    mutations,
    isBatch: false,
    commitId,
    actor: 'alice',
    correlationId: `correlation-${commitId}`,
    shrinkProtection: { kind: 'forced' },
    restoresFrom: undefined,
    ...fields,
  };
}
