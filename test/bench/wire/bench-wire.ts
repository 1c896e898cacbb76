import { ResolveRequest } from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import type { BenchOptions } from '../bench-options.ts';
import { applyLoad, type LoadFigures, type LoadShape } from '../load.ts';
import { median, printTable } from '../report.ts';
import { benchKey } from '../resolve/bench-routes.ts';
import { spawnServer, type BenchServer } from '../spawn-server.ts';
import { constantAnswer } from './constant-answer.ts';
import { fillEtcd, serializableRange } from './etcd-keys.ts';
import { isInstalled, startEtcdServer, startHaproxy, startNginxProxy } from './native-servers.ts';
import { resolvePath, startWireServers } from './wire-servers.ts';

const shapes: readonly LoadShape[] = [
  { name: '4 connections x 32 streams', connections: 4, streams: 32 },
  { name: '1 connection, 1 at a time', connections: 1, streams: 1 },
];
/** etcd writes each of them to disk first. */
const etcdKeysMax = 10_000;

/** Servers and proxies beside each other, round by round, so that the noise of the machine is the same for all. */
export async function benchWire(options: BenchOptions): Promise<void> {
  await using started = new AsyncDisposableStack();
  const servers = await startWireServers(started, options.routes);
  const engine = servers.get('engine, a constant')!;
  // The upstream of the proxies is the engine: the fastest server here, so that it is not what is measured.
  const proxies = new Map([
    [
      'engine, a proxy',
      started.use(await spawnServer('test/bench/wire/engine-server.ts', { BENCH_UPSTREAM: engine.address })),
    ],
  ]);
  if (isInstalled('nginx')) proxies.set('nginx grpc_pass', started.use(await startNginxProxy(engine.address)));
  if (isInstalled('haproxy')) proxies.set('haproxy', started.use(await startHaproxy(engine.address)));
  const request = resolveRequest(options.routes);
  const targets = [...servers].map(([name, server]): Target => ({ name, server, path: resolvePath, request }));
  if (isInstalled('etcd')) targets.push(await startEtcd(started, Math.min(options.routes, etcdKeysMax)));
  else console.log('etcd is not installed: its serializable Range is left out');
  const rows: (string | number)[][] = [];
  for (const shape of shapes) {
    rows.push(...(await compare(targets, shape, options)));
    rows.push(
      ...(await compare(
        [...proxies].map(([name, server]) => ({ name, server, path: resolvePath, request })),
        shape,
        options,
      )),
    );
  }
  printTable(['load', 'server', 'requests/s', 'p50 ms', 'p99 ms', 'CPU us/request', 'CPU of the first / this'], rows);
}

/** One server, and the call that it is measured by. */
type Target = {
  readonly name: string;
  readonly server: BenchServer;
  readonly path: string;
  readonly request: Buffer;
};

function resolveRequest(routes: number): Buffer {
  const key = benchKey(Math.floor(routes / 2));
  return Buffer.from(ResolveRequest.encode({ key, hashKey: '', attributes: {}, method: '' }).finish());
}

/** etcd with as many keys, asked for one of them without a quorum. */
async function startEtcd(started: AsyncDisposableStack, keys: number): Promise<Target> {
  const server = started.use(await startEtcdServer());
  await fillEtcd(server.address, { keys, valueBytes: constantAnswer.length });
  return {
    name: `etcd, ${keys} keys`,
    server,
    path: '/etcdserverpb.KV/Range',
    request: serializableRange(Math.floor(keys / 2)),
  };
}

async function compare(
  targets: readonly Target[],
  shape: LoadShape,
  { rounds, seconds }: BenchOptions,
): Promise<(string | number)[][]> {
  const figures = new Map<string, LoadFigures[]>(targets.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const { name, ...target } of targets) figures.get(name)?.push(await applyLoad({ ...target, shape, seconds }));
  }
  const of = (name: string, figure: keyof LoadFigures): number =>
    median((figures.get(name) ?? []).map((run) => run[figure]));
  const [first] = targets;
  return targets.map(({ name }) => [
    shape.name,
    name,
    of(name, 'perSecond'),
    of(name, 'p50Ms'),
    of(name, 'p99Ms'),
    of(name, 'cpuUs'),
    of(first?.name ?? '', 'cpuUs') / of(name, 'cpuUs'),
  ]);
}
