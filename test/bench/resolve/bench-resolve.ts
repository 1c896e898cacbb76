import { ResolveRequest } from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import type { RouteKey } from '../../../src/domain/route.ts';
import { createClient } from '../../../src/client/create-client.ts';
import { median, printTable } from '../report.ts';
import { spawnServer, type BenchServer } from '../spawn-server.ts';
import type { BenchOptions } from '../bench-options.ts';
import { applyLoad, type LoadShape } from '../load.ts';
import { benchBatches } from './bench-batches.ts';
import { benchKey } from './bench-routes.ts';

const shapes: readonly LoadShape[] = [
  { name: '4 connections x 32 streams', connections: 4, streams: 32 },
  { name: '1 connection, 1 at a time', connections: 1, streams: 1 },
];

/** A sidecar that holds many routes, against a grpc-js server that answers a constant of the same size; both in processes of their own. */
export async function benchResolve(options: BenchOptions): Promise<void> {
  const { rounds, seconds, routes } = options;
  await using source = await spawnServer('test/bench/resolve/snapshot-server.ts', { BENCH_ROUTES: String(routes) });
  const settings = { TM_SIDECAR_SOURCE: `grpc://${source.address}` };
  await using sidecar = await spawnServer('test/bench/resolve/sidecar-server.ts', {
    ...settings,
    TM_SIDECAR_WIRE: 'grpc-js',
  });
  const key = benchKey(Math.floor(routes / 2));
  await isHeld(sidecar, key);
  await using echo = await spawnServer('test/bench/resolve/echo-server.ts', {});

  const request = Buffer.from(ResolveRequest.encode({ key, hashKey: '', attributes: {}, method: '' }).finish());
  const rows: (string | number)[][] = [];
  for (const shape of shapes) {
    const figures = {
      echo: [] as Awaited<ReturnType<typeof applyLoad>>[],
      sidecar: [] as Awaited<ReturnType<typeof applyLoad>>[],
    };
    for (let round = 0; round < rounds; round++) {
      for (const [name, server] of [
        ['echo', echo],
        ['sidecar', sidecar],
      ] as const) {
        figures[name].push(
          await applyLoad({ server, path: '/trafficmanager.v1.ResolverService/Resolve', request, shape, seconds }),
        );
      }
    }
    const of = (name: keyof typeof figures, figure: 'perSecond' | 'p50Ms' | 'p99Ms' | 'cpuUs'): number =>
      median(figures[name].map((run) => run[figure]));
    for (const name of ['echo', 'sidecar'] as const) {
      rows.push([
        shape.name,
        name === 'echo' ? 'grpc-js echo' : `sidecar, ${routes} routes`,
        of(name, 'perSecond'),
        of(name, 'p50Ms'),
        of(name, 'p99Ms'),
        of(name, 'cpuUs'),
      ]);
    }
    rows.push([
      shape.name,
      'ratio sidecar/echo',
      of('sidecar', 'perSecond') / of('echo', 'perSecond'),
      of('sidecar', 'p50Ms') / of('echo', 'p50Ms'),
      of('sidecar', 'p99Ms') / of('echo', 'p99Ms'),
      of('sidecar', 'cpuUs') / of('echo', 'cpuUs'),
    ]);
  }
  printTable(['load', 'server', 'requests/s', 'p50 ms', 'p99 ms', 'server CPU us/request'], rows);
  await using wire = await spawnServer('test/bench/resolve/sidecar-server.ts', {
    ...settings,
    TM_SIDECAR_WIRE: 'wire',
  });
  await isHeld(wire, key);
  const fronts = new Map([
    ['grpc-js', sidecar],
    ['wire', wire],
  ]);
  await benchBatches(fronts, request, options);
}

async function isHeld({ address }: BenchServer, key: RouteKey): Promise<void> {
  using client = createClient({ address });
  const answer = await client.resolver.resolve({ key }, { timeoutMs: 60_000 });
  if (answer.route?.key?.service !== key.service) throw new Error('the sidecar resolved something else');
}
