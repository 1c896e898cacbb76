import { readFileSync } from 'node:fs';
import { type FrontKind, frontKinds } from '../../../sidecar/front/front.ts';
import { sidecarLimits } from '../../../sidecar/limits.ts';
import { createClient } from '../../../src/client/create-client.ts';
import { createServiceClient } from '../../../src/client/service-client.ts';
import { ResolveRequest } from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import { SidecarServiceService } from '../../../src/gen/trafficmanager/v1/sidecar_service.ts';
import type { BenchOptions } from '../bench-options.ts';
import { applyLoad, type LoadFigures } from '../load.ts';
import { median, printTable } from '../report.ts';
import { benchKey } from '../resolve/bench-routes.ts';
import { type BenchServer, spawnServer } from '../spawn-server.ts';

const path = '/trafficmanager.v1.ResolverService/Resolve';
const never = { requirement: { $case: 'minRevision', value: 1n << 40n } } as const;
const megabyte = 1024 * 1024;
/** Those of deploy/k8s/app-with-sidecar.yaml. */
const settings = { NODE_OPTIONS: '--max-semi-space-size=4 --max-old-space-size=256', MALLOC_ARENA_MAX: '1' };

/** What fills a core, and ten times as much of it. */
const capacity = { name: '', connections: 4, streams: 32 };
const tenfold = { name: '', connections: 40, streams: 32 };
/** More than may wait, and ten times as many connections as `capacity`: whoever is refused asks again at once. */
const waiting = { name: '', connections: 40, streams: Math.ceil((2 * sidecarLimits.admission.waitingMax) / 40) };

type Row = { readonly held: LoadFigures; readonly shedPerSecond: number; readonly peakMegabytes: number };

/** Ten times what a sidecar can answer, and lookups that would have to wait beside those that need not; quiet and busy take turns. */
export async function benchOverload({ rounds, seconds, routes }: BenchOptions): Promise<void> {
  const rows: (string | number)[][] = [];
  await using source = await spawnServer('test/bench/resolve/snapshot-server.ts', { BENCH_ROUTES: String(routes) });
  for (const front of frontKinds) {
    const seen: Record<string, Row[]> = { capacity: [], tenfold: [], 'beside waiting': [] };
    for (let round = 0; round < rounds; round++) {
      // The most memory that a process ever had is told for its whole life: each load has its own.
      for (const [name, runs] of Object.entries(seen)) {
        await using sidecar = await startSidecar(source, { front, routes });
        runs.push(await run(sidecar, name, seconds));
      }
    }
    const of = (name: string, figure: (row: Row) => number): number => median((seen[name] ?? []).map(figure));
    for (const name of Object.keys(seen)) {
      rows.push([
        front,
        name,
        of(name, ({ held }) => held.perSecond),
        of(name, ({ held }) => held.perSecond) / of('capacity', ({ held }) => held.perSecond),
        of(name, ({ held }) => held.p99Ms),
        of(name, ({ shedPerSecond }) => shedPerSecond),
        of(name, ({ held }) => (held.cpuUs * held.perSecond) / 10_000),
        of(name, ({ peakMegabytes }) => peakMegabytes),
      ]);
    }
  }
  printTable(['front', 'load', 'answered/s', 'goodput ratio', 'p99 ms', 'refused/s', 'CPU %', 'peak RSS MB'], rows);
}

async function startSidecar(
  source: BenchServer,
  { front, routes }: { front: FrontKind; routes: number },
): Promise<BenchServer> {
  const sidecar = await spawnServer('test/bench/resolve/sidecar-server.ts', {
    ...settings,
    TM_SIDECAR_SOURCE: `grpc://${source.address}`,
    TM_SIDECAR_WIRE: front,
  });
  using client = createClient({ address: sidecar.address });
  await client.resolver.resolve({ key: benchKey(routes - 1) }, { timeoutMs: 60_000 });
  return sidecar;
}

async function run(server: BenchServer, name: string, seconds: number): Promise<Row> {
  const key = benchKey(0);
  const held = Buffer.from(ResolveRequest.encode({ key, hashKey: '', attributes: {}, method: '' }).finish());
  const waits = Buffer.from(
    ResolveRequest.encode({ key, hashKey: '', attributes: {}, method: '', consistency: never }).finish(),
  );
  const shape = name === 'tenfold' ? tenfold : capacity;
  const [figures] = await Promise.all([
    applyLoad({ server, path, request: held, shape, seconds }),
    name === 'beside waiting' && applyLoad({ server, path, request: waits, shape: waiting, seconds }),
  ]);
  using client = createClient({ address: server.address });
  const { admission } = await createServiceClient(client.transport, SidecarServiceService).getStatus({});
  // A second of warming up comes before those that are measured.
  return {
    held: figures,
    shedPerSecond: Number(admission?.shed) / (seconds + 1),
    peakMegabytes: peakMegabytesOf(server),
  };
}

/** NaN where the kernel does not tell. */
function peakMegabytesOf({ pid }: BenchServer): number {
  try {
    return (Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1_024) / megabyte;
  } catch {
    return Number.NaN;
  }
}
