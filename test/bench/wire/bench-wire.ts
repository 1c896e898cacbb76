import type { BenchOptions } from '../bench-options.ts';
import { printTable } from '../report.ts';
import { spawnServer } from '../spawn-server.ts';
import { compareOverSockets } from './bench-wire-sockets.ts';
import { compareServers, comparisonHeadings, loadShapes, type Target } from './compare-servers.ts';
import { constantAnswer } from './constant-answer.ts';
import { fillEtcd, serializableRange } from './etcd-keys.ts';
import { isInstalled, startEtcdServer, startHaproxy, startNginxProxy } from './native-servers.ts';
import { resolvePath, resolveRequest, startWireServers } from './wire-servers.ts';

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
  for (const shape of loadShapes) {
    rows.push(...(await compareServers(targets, shape, options)));
    rows.push(
      ...(await compareServers(
        [...proxies].map(([name, server]) => ({ name, server, path: resolvePath, request })),
        shape,
        options,
      )),
    );
  }
  rows.push(...(await compareOverSockets(options)));
  printTable(comparisonHeadings, rows);
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
