import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SnapshotFiles } from '../../../sidecar/snapshot/snapshot-files.ts';
import { SnapshotMemory } from '../../../sidecar/snapshot/snapshot-memory.ts';
import { createClient } from '../../../src/client/create-client.ts';
import { ResolveRequest } from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import type { BenchOptions } from '../bench-options.ts';
import { applyLoad } from '../load.ts';
import { median, printTable } from '../report.ts';
import { benchKey, benchRoute } from '../resolve/bench-routes.ts';
import { spawnServer, type BenchServer } from '../spawn-server.ts';
import { memoryOf } from '../watch/server-memory.ts';

/** How light a sidecar is: its memory by routes, its start from disk with all else down, and lookups while 1,000 changes a second arrive. */
export async function benchSidecar(options: BenchOptions): Promise<void> {
  // As in a container, where JavaScript runs with these settings: with what was compiled kept, types are stripped once.
  const cache = mkdtempSync(join(tmpdir(), 'bench-cache-'));
  Object.assign(process.env, settings, { NODE_COMPILE_CACHE: cache });
  try {
    await benchMemory();
    await benchStart(options);
    await benchChanges(options);
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
}

/** Those of deploy/k8s/app-with-sidecar.yaml. */
const settings = {
  NODE_OPTIONS: '--max-semi-space-size=4 --max-old-space-size=256',
  MALLOC_ARENA_MAX: '1',
  MALLOC_MMAP_THRESHOLD_: '65536',
};
const megabyte = 1024 * 1024;

async function benchMemory(): Promise<void> {
  const rows: (string | number)[][] = [];
  // The first fills the cache.
  for (const [index, routes] of [0, 0, 100, 10_000, 100_000].entries()) {
    await using source = await spawnServer('test/bench/resolve/snapshot-server.ts', { BENCH_ROUTES: String(routes) });
    await using sidecar = await startSidecar(source);
    if (routes > 0) await isHeld(sidecar, routes);
    const { rss, heapUsed } = await memoryOf(sidecar);
    if (index > 0) rows.push([String(routes), '', rss / megabyte, heapUsed / megabyte]);
  }
  printTable(['routes held', '', 'process MB', 'heap MB after collection'], rows);
}

async function startSidecar(source: BenchServer): Promise<BenchServer> {
  return await spawnServer('test/bench/resolve/sidecar-server.ts', { TM_SIDECAR_SOURCE: `grpc://${source.address}` });
}

async function isHeld({ address }: BenchServer, routes: number): Promise<void> {
  using client = createClient({ address });
  await client.resolver.resolve({ key: benchKey(routes - 1) }, { timeoutMs: 60_000 });
}

/** From the start of the process to its first answer, of a snapshot on disk. */
async function benchStart({ rounds, routes }: BenchOptions): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'bench-'));
  try {
    const memory = new SnapshotMemory({ bytesMax: 256 * megabyte }).tenant('bench');
    const position = { revision: routes + 1, commitId: 'bench' };
    memory.replace({ position, routes: Array.from({ length: routes }, (_, index) => benchRoute(index)), policies: [] });
    const files = new SnapshotFiles({ directory, logger: createLogger('bench', 'silent'), processId: process.pid });
    const footer = { tenant: 'bench', state: 'ACTIVE', position, complete: true, services: null } as const;
    await files.write(memory, () => ({ ...footer, verifiedAtMs: Date.now() }));
    const answeredMs: number[] = [];
    for (let round = 0; round <= rounds; round++) answeredMs.push(await firstAnswerMs(directory, routes));
    printTable(
      ['start', '', 'first answer ms'],
      [[`${routes} routes on disk, all else down`, '', median(answeredMs.slice(1))]],
    );
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function firstAnswerMs(directory: string, routes: number): Promise<number> {
  const startMs = performance.now();
  const child = spawn(process.execPath, ['sidecar/main.ts'], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: {
      ...process.env,
      TM_SIDECAR_ADDRESS: 'off',
      TM_SIDECAR_SOCKET: join(directory, 'sidecar.sock'),
      TM_SIDECAR_SOURCE: 'grpc://127.0.0.1:1',
      TM_SIDECAR_TENANTS: 'bench',
      TM_SIDECAR_STATE_DIR: directory,
      TM_LOG_LEVEL: 'silent',
    },
  });
  await once(child, 'message');
  using client = createClient({ address: `unix:${join(directory, 'sidecar.sock')}` });
  const { freshness } = await client.resolver.resolve({ key: benchKey(routes - 1) }, { timeoutMs: 5_000 });
  const answeredMs = performance.now() - startMs;
  if (freshness?.stale !== true) throw new Error('it is said to be fresh');
  // Asked to stop, it keeps what it has compiled.
  child.disconnect();
  await once(child, 'exit');
  return answeredMs;
}

/** Lookups beside changes: quiet and busy take turns on one sidecar. */
async function benchChanges({ rounds, seconds, routes }: BenchOptions): Promise<void> {
  await using source = await spawnServer('test/bench/resolve/snapshot-server.ts', { BENCH_ROUTES: String(routes) });
  await using sidecar = await startSidecar(source);
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
