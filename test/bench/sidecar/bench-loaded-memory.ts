import { readFileSync } from 'node:fs';
import { findFreePort } from '../../../deploy/embedded/listen-address.ts';
import { frontKinds } from '../../../sidecar/front/front.ts';
import { createClient } from '../../../src/client/create-client.ts';
import { ResolveRequest, ResolverServiceService } from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import { applyLoad } from '../load.ts';
import { printTable } from '../report.ts';
import { benchKey } from '../resolve/bench-routes.ts';
import { spawnServer, type BenchServer } from '../spawn-server.ts';
import { buildSidecar, builtSidecar } from './built-sidecar.ts';

const seconds = 10;
const shape = { name: '', connections: 4, streams: 32, perSecond: 2_000 };

/** What the whole process of the built sidecar takes before and after 2,000 lookups/s for 10 s, garbage and all, over both fronts. */
export async function benchLoadedMemory(): Promise<void> {
  buildSidecar();
  const rows: (string | number)[][] = [];
  for (const routes of [100, 100_000]) {
    await using source = await spawnServer(
      'test/bench/resolve/snapshot-server.ts',
      { BENCH_ROUTES: String(routes) },
      1,
    );
    for (const front of frontKinds) {
      const address = `127.0.0.1:${await findFreePort()}`;
      await using started = await spawnServer(builtSidecar, {
        TM_SIDECAR_ADDRESS: address,
        TM_SIDECAR_SOURCE: `grpc://${source.address}`,
        TM_SIDECAR_TENANTS: 'bench',
        TM_SIDECAR_WIRE: front,
        TM_LOG_LEVEL: 'silent',
      });
      const sidecar: BenchServer = { ...started, address };
      {
        using client = createClient({ address });
        await client.resolver.resolve({ key: benchKey(routes - 1) }, { timeoutMs: 60_000 });
      }
      const before = residentMegabytes(sidecar);
      const key = benchKey(routes >> 1);
      const request = Buffer.from(ResolveRequest.encode({ key, hashKey: '', attributes: {}, method: '' }).finish());
      const { path } = ResolverServiceService.resolve;
      const { perSecond, cpuUs } = await applyLoad({ server: sidecar, path, request, shape, seconds });
      rows.push([String(routes), front, before, residentMegabytes(sidecar), perSecond, cpuUs]);
    }
  }
  const headings = ['routes held', 'front', 'process MB', 'after the load', 'lookups/s', 'server CPU us/request'];
  printTable(headings, rows);
}

/** NaN where the kernel does not tell. */
function residentMegabytes({ pid }: BenchServer): number {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
  } catch {
    return Number.NaN;
  }
}
