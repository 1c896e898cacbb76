import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sidecarRuntime } from '../../../deploy/embedded/sidecar-runtime.ts';
import type { BenchOptions } from '../bench-options.ts';
import { printTable } from '../report.ts';
import { benchKey } from '../resolve/bench-routes.ts';
import { spawnServer } from '../spawn-server.ts';
import { memoryOf } from '../watch/server-memory.ts';
import { benchLoadedMemory } from './bench-loaded-memory.ts';
import { benchStart } from './bench-start.ts';
import { isHeld, startFollowing } from './following-sidecar.ts';

/**
 * How light a sidecar is: its memory by routes and after lookups, and its start from disk with all else down.
 */
export async function benchSidecar(options: BenchOptions): Promise<void> {
  // As in a container, where JavaScript runs with these settings: with what was compiled kept, types are stripped once.
  const cache = mkdtempSync(join(tmpdir(), 'bench-cache-'));
  Object.assign(process.env, sidecarRuntime, { NODE_COMPILE_CACHE: cache });
  try {
    await benchMemory();
    await benchLoadedMemory();
    await benchStart(options);
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
    await using sidecar = await startFollowing(source, variables);
    if (routes > 0) await isHeld(sidecar, services === undefined ? routes : scopeRoutes);
    const { rss, heapUsed } = await memoryOf(sidecar);
    const name = services === undefined ? String(routes) : `${scopeRoutes} of ${routes}`;
    if (index > 0) rows.push([name, '', rss / megabyte, heapUsed / megabyte]);
  }
  printTable(['routes held', '', 'process MB', 'heap MB after collection'], rows);
}
