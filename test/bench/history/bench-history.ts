import { Client } from 'pg';
import {
  ChangeAction,
  ChangeOrder,
  createClient,
  type Fields,
  type TrafficManagerClient,
} from '../../../src/client/index.ts';
import type { ListChangesRequest } from '../../../src/gen/trafficmanager/v1/change_service.ts';
import type { ListRoutesRequest } from '../../../src/gen/trafficmanager/v1/route_service.ts';
import { Database } from '../../../src/outbound/postgres/database.ts';
import { migrate } from '../../../src/outbound/postgres/migrate.ts';
import { PostgresChangeHistory } from '../../../src/outbound/postgres/postgres-change-history.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import type { ChangeHistory } from '../../../src/ports/change-history.ts';
import { createDatabase, startTestPostgres } from '../../support/postgres.ts';
import type { BenchOptions } from '../bench-options.ts';
import { percentile, printTable } from '../report.ts';
import { spawnServer } from '../spawn-server.ts';
import { benchTenant as tenant, fillHistory, rare, robot, type HistorySize } from './fill-history.ts';

const size: HistorySize = { changes: 1_000_000, routes: 100_000 };
const hourMs = 3_600_000;

/** A kind of call: `at` counts the calls, so that each can ask for something else. */
type Load = { readonly name: string; readonly call: (at: number) => Promise<number> };

/**
 * Pages of a log of 1,000,000 changes and of 100,000 routes, as a caller over gRPC has them, one call at a time. `items`: what
 * the last page held, so that a filter that found nothing does not pass for a fast one.
 */
export async function benchHistory({ seconds }: BenchOptions): Promise<void> {
  await using postgres = await startTestPostgres({ settings: { shared_buffers: '512MB', max_wal_size: '8GB' } });
  await using database = await createDatabase(postgres.url);
  await using owned = new AsyncDisposableStack();
  const client = new Client({ connectionString: database.url });
  await client.connect();
  owned.defer(async () => await client.end());
  await migrate(client);
  const startedMs = performance.now();
  await fillHistory(client, size);
  console.log(`filled in ${((performance.now() - startedMs) / 1_000).toFixed(0)} s`);
  await using server = await spawnServer('test/bench/control-plane-server.ts', {
    DATABASE_URL: database.url,
    TM_DATABASE_TIMEOUT_MS: '60000',
  });
  using calls = createClient({ address: server.address, defaults: { timeoutMs: 60_000 } });

  const options = {
    url: database.url,
    poolSize: 2,
    statementTimeoutMs: 60_000,
    responseTimeoutMs: 60_000,
    onIdleError: () => {},
  };
  const history = new PostgresChangeHistory({ database: owned.use(new Database(options)), clock: systemClock });
  const rows: (string | number)[][] = [];
  // What a call costs on this machine at this time, whatever it asks for.
  const floor: Load = {
    name: 'GetTenant, for comparison',
    call: async () => Number((await calls.tenants.getTenant({ tenant })).tenant !== undefined),
  };
  for (const load of [floor, ...changeLoads(calls), ...(await routeLoads(calls)), ...pastLoads(calls, history)])
    rows.push(await measure(load, seconds));
  printTable(['call', 'items', 'calls', 'p50 ms', 'p99 ms'], rows);
  await printSizes(client);
}

async function measure({ name, call }: Load, seconds: number): Promise<(string | number)[]> {
  const durationsMs: number[] = [];
  let items = 0;
  // The first ones warm up: connections, compiled code, and the pages of the index.
  for (let at = 0; at < 10; at++) await call(at);
  const endMs = performance.now() + seconds * 1_000;
  for (let at = 10; at < 1_000 && performance.now() < endMs; at++) {
    const beganMs = performance.now();
    items = await call(at);
    durationsMs.push(performance.now() - beganMs);
  }
  return [name, String(items), durationsMs.length, percentile(durationsMs, 0.5), percentile(durationsMs, 0.99)];
}

function changeLoads(client: TrafficManagerClient): Load[] {
  const list = (name: string, request: (at: number) => Fields<ListChangesRequest>): Load => ({
    name: `ListChanges ${name}`,
    call: async (at) => (await client.changes.listChanges({ tenant, ...request(at) })).changes.length,
  });
  const now = Date.now();
  const ago = (ms: number): Date => new Date(now - ms);
  const oldestFirst = { order: ChangeOrder.CHANGE_ORDER_OLDEST_FIRST };
  const deactivated = { actions: [ChangeAction.CHANGE_ACTION_DEACTIVATED] };
  const deleted = { actions: [ChangeAction.CHANGE_ACTION_DELETED] };
  const actor = (at: number): string => `engineer-${at % 47}@example.com`;
  return [
    list('newest', () => ({})),
    list('newest, 1,000 a page', () => ({ pageSize: 1_000 })),
    list('oldest', () => oldestFirst),
    list('deep: from the middle on', (at) => ({ revisionMax: 500_000n + BigInt(at) })),
    list('deep: the last page', (at) => ({ revisionMax: 90n + BigInt(at % 10) })),
    list('service', (at) => ({ service: `service-${at}` })),
    list('service, rare', () => ({ service: rare.service })),
    list('environment', () => ({ environment: 'production' })),
    list('environment, rare', () => ({ environment: rare.environment })),
    list('version', (at) => ({ version: `v${at % 25}` })),
    list('version, rare', () => ({ version: rare.version })),
    list('one route', (at) => ({ service: `service-${at}`, environment: 'production', version: 'v0' })),
    list('service in an environment', (at) => ({ service: `service-${at}`, environment: 'production' })),
    list('action', () => deactivated),
    list('action, rare', () => deleted),
    list('actions, two', () => ({ actions: [...deactivated.actions, ...deleted.actions] })),
    list('actor', (at) => ({ actor: actor(at) })),
    list('actor, rare', () => ({ actor: rare.actor })),
    list('correlation id, unknown', (at) => ({ correlationId: `unknown-${at}` })),
    list('an hour of 30 days ago', (at) => ({ startTime: ago(720 * hourMs - at * 1_000), endTime: ago(719 * hourMs) })),
    list('deactivated in the last hour', () => ({ ...deactivated, startTime: ago(hourMs) })),
    list('deactivated by an actor', (at) => ({ ...deactivated, actor: actor(at) })),
    list('deleted by an actor', (at) => ({ ...deleted, actor: actor(at) })),
    list('actor in a service', (at) => ({ actor: actor(at), service: `service-${at}` })),
    // No index helps: 125,000 changes are looked at, and none is found.
    list('worst: two common filters that never meet', () => ({ actor: robot, environment: 'production' })),
    list('environment and version of a rare actor', () => ({
      environment: 'production',
      version: 'v1',
      actor: rare.actor,
    })),
  ];
}

async function routeLoads(client: TrafficManagerClient): Promise<Load[]> {
  const pageSize = 100;
  const tokens: string[] = [];
  const walk = async (request: Fields<ListRoutesRequest>): Promise<{ middle: string; last: string }> => {
    tokens.length = 0;
    for (let pageToken = ''; ;) {
      const page = await client.routes.listRoutes({ ...request, pageSize: 1_000, pageToken });
      if (page.nextPageToken === '') break;
      tokens.push((pageToken = page.nextPageToken));
    }
    return { middle: tokens[Math.floor(tokens.length / 2)] ?? '', last: tokens.at(-1) ?? '' };
  };
  const loads: Load[] = [];
  const middle = BigInt(size.changes / 2);
  for (const [name, request] of [
    ['now', { tenant }],
    ['at a revision', { tenant, at: { $case: 'atRevision', value: middle } }],
  ] as const) {
    const { middle: middleToken, last } = await walk(request);
    for (const [place, pageToken] of [
      ['first', ''],
      ['middle', middleToken],
      ['last', last],
    ] as const) {
      loads.push({
        name: `ListRoutes ${name}, ${place} page`,
        call: async () => (await client.routes.listRoutes({ ...request, pageSize, pageToken })).routes.length,
      });
    }
  }
  return loads;
}

function pastLoads(client: TrafficManagerClient, history: ChangeHistory): Load[] {
  const key = (at: number) => ({ tenant, service: `service-${at}`, environment: 'production', version: 'v0' });
  const atTime = (at: number): Date => new Date(Date.now() - (at % 900) * hourMs);
  return [
    {
      name: 'Resolve at a revision',
      call: async (at) => {
        const value = BigInt(size.changes / 2 + at);
        return (await client.resolver.resolve({ key: key(at), at: { $case: 'atRevision', value } })).route === undefined
          ? 0
          : 1;
      },
    },
    {
      name: 'Resolve at a time',
      call: async (at) =>
        (await client.resolver.resolve({ key: key(at), at: { $case: 'atTime', value: atTime(at) } })).route ===
        undefined
          ? 0
          : 1,
    },
    ...[1_000, 100_000, 800_000].map((back) => ({
      name: `what a rollback by ${back} reads`,
      call: async (at: number) => {
        // It takes seconds: not ten times before it is measured.
        if (back > 1_000 && at < 9) return 0;
        const { routes, policies } = await history.valuesBefore(tenant, size.changes - back);
        return routes.length + policies.length;
      },
    })),
  ];
}

async function printSizes(client: Client): Promise<void> {
  const { rows } = await client.query<{ name: string; bytes: string }>(
    `SELECT relname AS name, pg_relation_size(oid) AS bytes FROM pg_class WHERE relname LIKE 'changes%' OR relname LIKE 'routes%' ORDER BY 2 DESC`,
  );
  console.log();
  printTable(
    ['table or index', 'MB'],
    rows
      .filter(({ bytes }) => Number(bytes) > 0)
      .map(({ name, bytes }) => [name, String(Math.round(Number(bytes) / 1e6))]),
  );
}
