import { Client } from 'pg';
import { createClient, message, Route, RouteState, Tenant, TenantQuotas } from '../../../src/client/index.ts';
import { RouteServiceService, UpdateRouteRequest } from '../../../src/gen/trafficmanager/v1/route_service.ts';
import { startTestPostgres, createDatabase } from '../../support/postgres.ts';
import type { BenchOptions } from '../bench-options.ts';
import { median, percentile, printTable } from '../report.ts';
import { spawnServer } from '../spawn-server.ts';
import { connectLightCaller, type LightCaller } from './light-caller.ts';
import { rawStatement } from './raw-statement.ts';

const connections = 16;

/** What one load came to. */
type Figures = { readonly perSecond: number; readonly p50Ms: number; readonly p99Ms: number };

/**
 * Writes through the API at 16 callers, against one statement that writes the same rows (tenant, route, change, outbox) driven
 * raw by `pg` on 16 connections; Postgres flushes to disk in both. Each caller updates a route of its own, again and again.
 */
export async function benchWrites({ rounds, seconds }: BenchOptions): Promise<void> {
  await using postgres = await startTestPostgres({ durable: true, settings: { max_connections: '100' } });
  await using database = await createDatabase(postgres.url);
  await using server = await spawnServer('test/bench/control-plane-server.ts', { DATABASE_URL: database.url });
  using client = createClient({ address: server.address, defaults: { timeoutMs: 60_000 } });
  using lightCaller = await connectLightCaller(server.address);
  for (let tenant = 0; tenant < 50; tenant++)
    await client.tenants.createTenant({ tenant: message(Tenant, { tenant: tenantName(tenant) }) });
  await using closing = new AsyncDisposableStack();
  const raw = await Promise.all(Array.from({ length: connections }, () => connect(database.url)));
  closing.defer(async () => void (await Promise.all(raw.map((connection) => connection.end()))));
  await raw[0]?.query(
    "INSERT INTO tenants SELECT 'raw-' || n, '', 1, '', now(), now(), '{}', 'ACTIVE', '', 1 FROM generate_series(0, 49) AS n",
  );

  const rows: (string | number)[][] = [];
  for (const tenants of [1, 50]) {
    const api: Figures[] = [];
    const statement: Figures[] = [];
    for (let round = 0; round <= rounds; round++) {
      const viaRaw = await drive(seconds, (caller, call) =>
        rawStatement(raw[caller] as Client, `raw-${(caller + call) % tenants}`, { caller, call }),
      );
      const viaApi = await drive(seconds, (caller, call) =>
        updateRoute(lightCaller, tenantName((caller + call) % tenants), { caller, call }),
      );
      // The first round warms up: plans, pools, compiled code.
      if (round === 0) continue;
      statement.push(viaRaw);
      api.push(viaApi);
    }
    const name = tenants === 1 ? '1 tenant' : `${tenants} tenants`;
    const of = (runs: readonly Figures[], figure: keyof Figures): number => median(runs.map((run) => run[figure]));
    rows.push([name, 'raw statement', of(statement, 'perSecond'), of(statement, 'p50Ms'), of(statement, 'p99Ms')]);
    rows.push([name, 'API', of(api, 'perSecond'), of(api, 'p50Ms'), of(api, 'p99Ms')]);
    rows.push([
      name,
      'ratio',
      of(api, 'perSecond') / of(statement, 'perSecond'),
      of(api, 'p50Ms') / of(statement, 'p50Ms'),
      of(api, 'p99Ms') / of(statement, 'p99Ms'),
    ]);
  }
  rows.push(...(await batches(client)));
  printTable(['load', 'writer', 'writes/s', 'p50 ms', 'p99 ms'], rows);
}

function tenantName(index: number): string {
  return `bench-${index}`;
}

async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  await client.connect();
  return client;
}

/** Callers that each make one call after another. */
async function drive(seconds: number, call: (caller: number, call: number) => Promise<unknown>): Promise<Figures> {
  const durationsMs: number[] = [];
  const startMs = performance.now();
  const endMs = startMs + seconds * 1_000;
  await Promise.all(
    Array.from({ length: connections }, async (_unused, caller) => {
      for (let count = 0; performance.now() < endMs; count++) {
        const beganMs = performance.now();
        await call(caller, count);
        durationsMs.push(performance.now() - beganMs);
      }
    }),
  );
  return {
    perSecond: (durationsMs.length / (performance.now() - startMs)) * 1_000,
    p50Ms: percentile(durationsMs, 0.5),
    p99Ms: percentile(durationsMs, 0.99),
  };
}

function benchRoute(tenant: string, { caller, call }: { caller: number; call: number }): Route {
  return message(Route, {
    key: { tenant, service: `service-${caller}`, environment: 'production', version: 'v1' },
    endpoints: [
      { url: `grpc://host-${call}.bench.internal:8443`, weight: 1, zone: 'eu-west-1a', priority: 0, labels: {} },
    ],
    state: RouteState.ROUTE_STATE_ACTIVE,
  });
}

type BenchClient = ReturnType<typeof createClient>;

function updateRoute(caller: LightCaller, tenant: string, of: { caller: number; call: number }): Promise<void> {
  const { path, requestSerialize } = RouteServiceService.updateRoute;
  const request = message(UpdateRouteRequest, { route: benchRoute(tenant, of), allowMissing: true });
  return caller.call(path, requestSerialize(request));
}

/** Batches of 10,000 creations, one after another, into a tenant of their own. */
async function batches(client: BenchClient): Promise<(string | number)[][]> {
  // Batches of 10,000 in less than a second each are more than a tenant may write unless it is allowed to.
  const quotas = message(TenantQuotas, { writesPerSecond: 1_000_000 });
  await client.tenants.createTenant({ tenant: message(Tenant, { tenant: 'batch', quotas }) });
  const durationsMs: number[] = [];
  for (let round = 0; round < 5; round++) {
    const writes = Array.from({ length: 10_000 }, (_unused, index) => ({
      write: {
        $case: 'createRoute' as const,
        value: benchRoute('batch', { caller: round * 10_000 + index, call: index }),
      },
    }));
    const beganMs = performance.now();
    await client.routes.batchWriteRoutes({ tenant: 'batch', writes });
    durationsMs.push(performance.now() - beganMs);
  }
  return [['batch of 10,000', 'API', 10_000_000 / median(durationsMs), median(durationsMs), Math.max(...durationsMs)]];
}
