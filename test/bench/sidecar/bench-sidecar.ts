import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sidecarRuntime } from '../../../deploy/embedded/sidecar-runtime.ts';
import { createClient } from '../../../src/client/create-client.ts';
import { ResolveRequest } from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import type { BenchOptions } from '../bench-options.ts';
import { applyLoad } from '../load.ts';
import { median, printTable } from '../report.ts';
import { benchKey } from '../resolve/bench-routes.ts';
import { spawnServer, type BenchServer } from '../spawn-server.ts';
import { memoryOf } from '../watch/server-memory.ts';
import { benchLoadedMemory } from './bench-loaded-memory.ts';
import { benchStart } from './bench-start.ts';

/**
 * How light a sidecar is: its memory by routes and after lookups, its start from disk with all else down, and lookups while 1,000
 * changes a second arrive.
 */
export async function benchSidecar(options: BenchOptions): Promise<void> {
  // As in a container, where JavaScript runs with these settings: with what was compiled kept, types are stripped once.
  const cache = mkdtempSync(join(tmpdir(), 'bench-cache-'));
  Object.assign(process.env, sidecarRuntime, { NODE_COMPILE_CACHE: cache });
  try {
    await benchMemory();
    await benchLoadedMemory();
    await benchStart(options);
    await benchChanges(options);
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
}

const megabyte = 1024 * 1024;

/** A scope of 100 routes; each service of the benches has two. */
const scopeRoutes = 100;
const scope = Array.from({ length: scopeRoutes / 2 }, (_, index) => benchKey(2 * index).service).join(',');

async function benchMemory(): Promise<void> {
  const rows: (string | number)[][] = [];
  const held = [0, 0, 100, 10_000, 100_000].map((routes) => ({ routes, services: undefined }));
  const fleets = [1_000, 100_000].map((routes) => ({ routes, services: scope }));
  // The first fills the cache.
  for (const [index, { routes, services }] of [...held, ...fleets].entries()) {
    await using source = await spawnServer('test/bench/resolve/snapshot-server.ts', { BENCH_ROUTES: String(routes) });
    const variables = services === undefined ? {} : { TM_SIDECAR_SERVICES: services };
    await using sidecar = await startSidecar(source, variables);
    if (routes > 0) await isHeld(sidecar, services === undefined ? routes : scopeRoutes);
    const { rss, heapUsed } = await memoryOf(sidecar);
    const name = services === undefined ? String(routes) : `${scopeRoutes} of ${routes}`;
    if (index > 0) rows.push([name, '', rss / megabyte, heapUsed / megabyte]);
  }
  printTable(['routes held', '', 'process MB', 'heap MB after collection'], rows);
}

type Variables = Readonly<Record<string, string>>;

async function startSidecar(source: BenchServer, variables: Variables = {}): Promise<BenchServer> {
  return await spawnServer('test/bench/resolve/sidecar-server.ts', {
    TM_SIDECAR_SOURCE: `grpc://${source.address}`,
    ...variables,
  });
}

async function isHeld({ address }: BenchServer, routes: number): Promise<void> {
  using client = createClient({ address });
  await client.resolver.resolve({ key: benchKey(routes - 1) }, { timeoutMs: 60_000 });
}

/** Lookups beside changes, which go to disk too: quiet and busy take turns on one sidecar. */
async function benchChanges(options: BenchOptions): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'bench-state-'));
  try {
    await benchChangesOf({ TM_SIDECAR_STATE_DIR: directory }, options);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function benchChangesOf(variables: Variables, { rounds, seconds, routes }: BenchOptions): Promise<void> {
  await using source = await spawnServer('test/bench/resolve/snapshot-server.ts', { BENCH_ROUTES: String(routes) });
  await using sidecar = await startSidecar(source, variables);
  await isHeld(sidecar, routes);
  const request = Buffer.from(
    ResolveRequest.encode({ key: benchKey(routes >> 1), hashKey: '', attributes: {}, method: '' }).finish(),
  );
  const path = '/trafficmanager.v1.ResolverService/Resolve';
  const shape = { name: '', connections: 1, streams: 1 };
  const figures = { quiet: [] as number[], busy: [] as number[] };
  const cpuUs = { quiet: [] as number[], busy: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    for (const kind of ['quiet', 'busy'] as const) {
      await source.ask(kind === 'busy' ? '1000' : '0');
      const load = await applyLoad({ server: sidecar, path, request, shape, seconds });
      figures[kind].push(load.p99Ms);
      cpuUs[kind].push(load.cpuUs);
    }
  }
  const rows = (['quiet', 'busy'] as const).map((kind) => [
    kind === 'busy' ? '1,000 changes/s' : 'no changes',
    '',
    median(figures[kind]),
    median(cpuUs[kind]),
  ]);
  printTable(['lookups one at a time', '', 'p99 ms', 'server CPU us/request'], rows);
}
