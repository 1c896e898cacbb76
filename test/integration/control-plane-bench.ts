import { Client as Postgres } from 'pg';
import { afterAll, beforeAll, expect, inject } from 'vitest';
import {
  Endpoint,
  message,
  Route,
  type RouteKey,
  Tenant,
  TrafficPolicy,
  type Fields,
  type TrafficManagerClient,
  type WatchResponse,
} from '../../src/client/index.ts';
import type { ControlPlaneConfig } from '../../src/config.ts';
import { readEveryRow } from '../contract/open-test-database.ts';
import { startTestReplicas, type TestControlPlane, type TestReplicas } from '../support/control-plane.ts';

/** Control planes over one database, for the tests of a file; each test makes tenants of its own. */
export interface ControlPlaneBench {
  readonly databaseUrl: string;
  /** The first, or only, control plane. */
  readonly address: string;
  readonly client: TrafficManagerClient;
  readonly replicas: readonly TestControlPlane[];
  /** Creates a tenant with a new name: its revision is 1. */
  newTenant(): Promise<string>;
  /** Everything that is in the database. */
  everyRow(): Promise<Record<string, unknown[]>>;
}

/** Starts control planes before the tests of a file, and stops them after. Call it once, outside of the tests. */
export function useControlPlanes(count = 1, config: Partial<ControlPlaneConfig> = {}): ControlPlaneBench {
  let started: TestReplicas;
  let postgres: Postgres;
  let tenants = 0;
  beforeAll(async () => {
    started = await startTestReplicas(inject('postgresUrl'), count, config);
    postgres = new Postgres({ connectionString: started.databaseUrl });
    await postgres.connect();
  });
  afterAll(async () => {
    await postgres.end();
    await started[Symbol.asyncDispose]();
  });
  const first = (): TestControlPlane => {
    const [replica] = started.replicas;
    if (replica === undefined) throw new Error('no control plane was asked for');
    return replica;
  };
  return {
    get databaseUrl() {
      return started.databaseUrl;
    },
    get address() {
      return first().address;
    },
    get client() {
      return first().client;
    },
    get replicas() {
      return started.replicas;
    },
    newTenant: async () => {
      tenants += 1;
      const tenant = `tenant-${tenants}`;
      await first().client.tenants.createTenant({ tenant: message(Tenant, { tenant }) });
      return tenant;
    },
    everyRow: async () => await readEveryRow(postgres),
  };
}

/** Takes the whole snapshot that a watch begins with, all of it of one revision. */
export async function snapshotOf(
  watch: AsyncIterator<WatchResponse, void, void>,
  revision: bigint,
): Promise<{ routes: Route[]; trafficPolicies: TrafficPolicy[] }> {
  const snapshot: { routes: Route[]; trafficPolicies: TrafficPolicy[] } = { routes: [], trafficPolicies: [] };
  for (;;) {
    const { value } = await watch.next();
    expect(value).toMatchObject({ revision, event: { $case: 'snapshotChunk' } });
    if (value?.event?.$case !== 'snapshotChunk') throw new Error('a snapshot');
    const { routes, trafficPolicies, last } = value.event.value;
    snapshot.routes.push(...routes);
    snapshot.trafficPolicies.push(...trafficPolicies);
    if (last) return snapshot;
  }
}

export function keyOf(tenant: string, version = 'v1', fields: Partial<RouteKey> = {}): RouteKey {
  return { tenant, service: 'cart', environment: 'production', version, ...fields };
}

export function endpointAt(url: string, fields: Fields<Endpoint> = {}): Endpoint {
  return message(Endpoint, { url, ...fields });
}

/** A route with one endpoint, unless the fields say more. */
export function routeOf(key: RouteKey, fields: Fields<Route> = {}): Route {
  return message(Route, { key, endpoints: [endpointAt('grpc://cart.internal:8443')], ...fields });
}

/** The policy of cart in production. */
export function policyOf(tenant: string, defaultVersion: string, etag = ''): TrafficPolicy {
  return message(TrafficPolicy, { key: { tenant, service: 'cart', environment: 'production' }, defaultVersion, etag });
}
