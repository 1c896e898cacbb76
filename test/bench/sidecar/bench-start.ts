import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SnapshotFiles } from '../../../sidecar/snapshot/snapshot-files.ts';
import { SnapshotMemory } from '../../../sidecar/snapshot/snapshot-memory.ts';
import { createClient } from '../../../src/client/create-client.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import type { BenchOptions } from '../bench-options.ts';
import { median, printTable } from '../report.ts';
import { benchKey, benchRoute } from '../resolve/bench-routes.ts';
import { cpuUsOf } from '../spawn-server.ts';
import { buildSidecar, builtSidecar } from './built-sidecar.ts';

type Start = { readonly firstAnswerMs: number; readonly cpuMs: number };

/** From the start of the process to its first answer, of a snapshot on disk while all else is down: built and from sources, each with and without what an earlier start compiled. */
export async function benchStart({ rounds, routes }: BenchOptions): Promise<void> {
  buildSidecar();
  const directory = mkdtempSync(join(tmpdir(), 'bench-'));
  try {
    await writeSnapshot(directory, routes);
    const kinds = [
      { name: 'built', program: builtSidecar, cache: '' },
      { name: 'built, started before', program: builtSidecar, cache: join(directory, 'compiled') },
      { name: 'sources', program: 'sidecar/main.ts', cache: '' },
      { name: 'sources, started before', program: 'sidecar/main.ts', cache: join(directory, 'compiled') },
    ].map((kind) => ({ ...kind, starts: [] as Start[] }));
    // The first fills the caches.
    for (let round = 0; round <= rounds; round++)
      for (const { starts, ...kind } of kinds) {
        const start = await startOnce(kind, { directory, routes });
        if (round > 0) starts.push(start);
      }
    printTable(
      [`start, ${routes} routes on disk`, '', 'first answer ms', 'worst', 'CPU ms until then'],
      kinds.map(({ name, starts }) => {
        const answeredMs = starts.map(({ firstAnswerMs }) => firstAnswerMs);
        return [name, '', median(answeredMs), Math.max(...answeredMs), median(starts.map(({ cpuMs }) => cpuMs))];
      }),
    );
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function writeSnapshot(directory: string, routes: number): Promise<void> {
  const memory = new SnapshotMemory({ bytesMax: 256 * 1024 * 1024 }).tenant('bench');
  const position = { revision: routes + 1, commitId: 'bench' };
  memory.replace({ position, routes: Array.from({ length: routes }, (_, index) => benchRoute(index)), policies: [] });
  const files = new SnapshotFiles({ directory, logger: createLogger('bench', 'silent'), processId: process.pid });
  const footer = { tenant: 'bench', state: 'ACTIVE', position, complete: true, services: null } as const;
  await files.write(memory, () => ({ ...footer, verifiedAtMs: Date.now() }));
}

async function startOnce(
  { program, cache }: { readonly program: string; readonly cache: string },
  { directory, routes }: { readonly directory: string; readonly routes: number },
): Promise<Start> {
  const socket = join(directory, 'sidecar.sock');
  const startMs = performance.now();
  const child = spawn(process.execPath, [program], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: {
      ...process.env,
      // Empty: none.
      NODE_COMPILE_CACHE: cache,
      TM_SIDECAR_ADDRESS: 'off',
      TM_SIDECAR_SOCKET: socket,
      TM_SIDECAR_SOURCE: 'grpc://127.0.0.1:1',
      TM_SIDECAR_TENANTS: 'bench',
      TM_SIDECAR_STATE_DIR: directory,
      TM_LOG_LEVEL: 'silent',
    },
  });
  await once(child, 'message');
  using client = createClient({ address: `unix:${socket}` });
  const { freshness } = await client.resolver.resolve({ key: benchKey(routes - 1) }, { timeoutMs: 5_000 });
  const start = { firstAnswerMs: performance.now() - startMs, cpuMs: cpuUsOf(child.pid ?? 0) / 1_000 };
  if (freshness?.stale !== true) throw new Error('it is said to be fresh');
  // Asked to stop, it keeps what it has compiled.
  child.disconnect();
  await once(child, 'exit');
  return start;
}
