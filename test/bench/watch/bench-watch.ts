import { createClient, message, Route, Tenant, type TrafficManagerClient } from '../../../src/client/index.ts';
import { createDatabase, providePostgres } from '../../support/postgres.ts';
import type { BenchOptions } from '../bench-options.ts';
import { printTable } from '../report.ts';
import { spawnServer, type BenchServer } from '../spawn-server.ts';
import { benchRoute } from '../resolve/bench-routes.ts';
import { routeToWire } from '../../../src/wire/route-wire.ts';
import { measureFanOut } from './fan-out.ts';
import { measureJoins } from './join-storm.ts';
import { memoryOf } from './server-memory.ts';

const tenant = 'bench';

/**
 * Watch on one control plane over a real Postgres: how long a change takes to the last of many watchers, what that costs the
 * server, and what it does to lookups meanwhile. The server has the first core to itself; everything else shares the second.
 */
export async function benchWatch({ rounds, routes }: BenchOptions): Promise<void> {
  await using postgres = await providePostgres();
  const rows: (string | number)[][] = [];
  for (const shape of [
    { connections: 10, streams: 100 },
    { connections: 100, streams: 100 },
    { connections: 1_000, streams: 1 },
  ]) {
    await using server = await startServer(postgres.url);
    using client = createClient({ address: server.address, defaults: { timeoutMs: 60_000 } });
    await fill(client, 10);
    const figures = await measureFanOut({ server, client, tenant, shape, changes: Math.max(100, rounds * 34) });
    rows.push([
      `${shape.connections * shape.streams} over ${shape.connections} connections`,
      figures.ackedToLastMs.p50,
      figures.ackedToLastMs.p99,
      figures.sentToLastMs.p50,
      figures.sentToLastMs.p99,
      figures.cpuUsPerDelivery,
      figures.kibPerWatcher,
      figures.resolveQuietMs.p99,
      figures.resolveBusyMs.p50,
      figures.resolveBusyMs.p99,
    ]);
  }
  printTable(
    [
      'watchers',
      'acked -> last p50 ms',
      'p99',
      'sent -> last p50 ms',
      'p99',
      'server CPU us/delivery',
      'RSS KiB/watcher',
      'Resolve p99 quiet ms',
      'busy p50',
      'busy p99',
    ],
    rows,
  );
  await benchHeldConfiguration(postgres.url, routes);
}

/** What a replica takes to hold many routes, and to send them to many watchers that join at once. */
async function benchHeldConfiguration(postgresUrl: string, routes: number): Promise<void> {
  await using server = await startServer(postgresUrl);
  using client = createClient({ address: server.address, defaults: { timeoutMs: 60_000 } });
  await fill(client, 1);
  const empty = await memoryOf(server);
  await fill(client, routes);
  const full = await memoryOf(server);
  console.log(
    `\n${routes} routes: RSS +${mib(full.rss - empty.rss)} MiB, heap +${mib(full.heapUsed - empty.heapUsed)} MiB`,
  );
  const rows: (string | number)[][] = [];
  for (const watchers of [1, 100, 500]) {
    const figures = await measureJoins({ server, client, tenant, watchers });
    rows.push([
      String(watchers),
      figures.lastMs,
      figures.cpuMs,
      figures.bytesPerWatcher / 1024,
      mib(figures.rssMax - full.rss),
    ]);
  }
  printTable(
    ['watchers that join at once', 'last has it all after ms', 'server CPU ms', 'KiB a snapshot', 'RSS at most + MiB'],
    rows,
  );
}

function mib(bytes: number): number {
  return bytes / 1024 / 1024;
}

async function startServer(postgresUrl: string): Promise<BenchServer> {
  const database = await createDatabase(postgresUrl);
  const server = await spawnServer('test/bench/watch/watch-server.ts', {
    DATABASE_URL: database.url,
    TM_LOG_LEVEL: 'error',
  });
  return Object.assign(server, {
    [Symbol.asyncDispose]: disposeBoth(server[Symbol.asyncDispose].bind(server), () => database[Symbol.asyncDispose]()),
  });
}

function disposeBoth(first: () => PromiseLike<void>, second: () => PromiseLike<void>): () => Promise<void> {
  return async () => {
    await first();
    await second();
  };
}

/** Creates the tenant and its first routes, as far as they are not there. */
async function fill(client: TrafficManagerClient, routes: number): Promise<void> {
  await client.tenants.createTenant({ tenant: message(Tenant, { tenant }) }).catch(() => {});
  let next = 0;
  const create = async (): Promise<void> => {
    for (let index = next++; index < routes; index = next++) {
      const { key, endpoints, labels } = routeToWire(benchRoute(index));
      await client.routes.updateRoute({ route: message(Route, { key, endpoints, labels }), allowMissing: true });
    }
  };
  await Promise.all(Array.from({ length: 256 }, create));
}
