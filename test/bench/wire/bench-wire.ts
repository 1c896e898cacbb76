import { createClient } from '../../../src/client/create-client.ts';
import { ResolveRequest } from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import type { BenchOptions } from '../bench-options.ts';
import { applyLoad, type LoadFigures, type LoadShape } from '../load.ts';
import { median, printTable } from '../report.ts';
import { benchKey } from '../resolve/bench-routes.ts';
import { spawnServer, type BenchServer } from '../spawn-server.ts';
import { constantAnswer } from './constant-answer.ts';
import { isInstalled, startHaproxy, startNginxProxy, startNginxReply } from './native-servers.ts';

const shapes: readonly LoadShape[] = [
  { name: '4 connections x 32 streams', connections: 4, streams: 32 },
  { name: '1 connection, 1 at a time', connections: 1, streams: 1 },
];
const path = '/trafficmanager.v1.ResolverService/Resolve';

/** Servers and proxies beside each other, round by round, so that the noise of the machine is the same for all. */
export async function benchWire(options: BenchOptions): Promise<void> {
  await using started = new AsyncDisposableStack();
  const script = async (file: string, variables: Record<string, string> = {}): Promise<BenchServer> =>
    started.use(await spawnServer(file, variables));
  const source = await script('test/bench/resolve/snapshot-server.ts', { BENCH_ROUTES: String(options.routes) });
  const sidecar = async (front: string): Promise<BenchServer> => {
    const server = await script('test/bench/resolve/sidecar-server.ts', {
      TM_SIDECAR_SOURCE: `grpc://${source.address}`,
      TM_SIDECAR_WIRE: front,
    });
    using client = createClient({ address: server.address });
    await client.resolver.resolve({ key: benchKey(1) }, { timeoutMs: 60_000 });
    return server;
  };
  const engine = await script('test/bench/wire/engine-server.ts');
  const servers = new Map([
    ['grpc-js, a constant', await script('test/bench/resolve/echo-server.ts')],
    ['engine, a constant', engine],
    ['sidecar on grpc-js', await sidecar('grpc-js')],
    ['sidecar on wire', await sidecar('wire')],
  ]);
  if (isInstalled('nginx')) servers.set('nginx, a constant', started.use(await startNginxReply(constantAnswer.length)));
  // The upstream of the proxies is the engine: the fastest server here, so that it is not what is measured.
  const proxies = new Map([
    ['engine, a proxy', await script('test/bench/wire/engine-server.ts', { BENCH_UPSTREAM: engine.address })],
  ]);
  if (isInstalled('nginx')) proxies.set('nginx grpc_pass', started.use(await startNginxProxy(engine.address)));
  if (isInstalled('haproxy')) proxies.set('haproxy', started.use(await startHaproxy(engine.address)));
  const rows: (string | number)[][] = [];
  for (const shape of shapes) {
    rows.push(...(await compare(servers, shape, options)));
    rows.push(...(await compare(proxies, shape, options)));
  }
  printTable(['load', 'server', 'requests/s', 'p50 ms', 'p99 ms', 'CPU us/request', 'CPU of the first / this'], rows);
}

async function compare(
  servers: ReadonlyMap<string, BenchServer>,
  shape: LoadShape,
  { rounds, seconds, routes }: BenchOptions,
): Promise<(string | number)[][]> {
  const key = benchKey(Math.floor(routes / 2));
  const request = Buffer.from(ResolveRequest.encode({ key, hashKey: '', attributes: {}, method: '' }).finish());
  const figures = new Map<string, LoadFigures[]>([...servers.keys()].map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, server] of servers)
      figures.get(name)?.push(await applyLoad({ server, path, request, shape, seconds }));
  }
  const of = (name: string, figure: keyof LoadFigures): number =>
    median((figures.get(name) ?? []).map((run) => run[figure]));
  const [first = ''] = servers.keys();
  return [...servers.keys()].map((name) => [
    shape.name,
    name,
    of(name, 'perSecond'),
    of(name, 'p50Ms'),
    of(name, 'p99Ms'),
    of(name, 'cpuUs'),
    of(first, 'cpuUs') / of(name, 'cpuUs'),
  ]);
}
