import { createClient } from '../../../src/client/create-client.ts';
import { benchKey } from '../resolve/bench-routes.ts';
import { spawnServer, type BenchServer } from '../spawn-server.ts';
import { constantAnswer } from './constant-answer.ts';
import { isInstalled, startNginxReply } from './native-servers.ts';

export const resolvePath = '/trafficmanager.v1.ResolverService/Resolve';

/** The servers that are held beside each other, grpc-js first: what all others are compared with. */
export async function startWireServers(
  started: AsyncDisposableStack,
  routes: number,
): Promise<Map<string, BenchServer>> {
  const source = started.use(
    await spawnServer('test/bench/resolve/snapshot-server.ts', { BENCH_ROUTES: String(routes) }),
  );
  const sidecar = async (front: string): Promise<BenchServer> => {
    const server = started.use(
      await spawnServer('test/bench/resolve/sidecar-server.ts', {
        TM_SIDECAR_SOURCE: `grpc://${source.address}`,
        TM_SIDECAR_WIRE: front,
      }),
    );
    using client = createClient({ address: server.address });
    await client.resolver.resolve({ key: benchKey(1) }, { timeoutMs: 60_000 });
    return server;
  };
  const servers = new Map([
    ['grpc-js, a constant', started.use(await spawnServer('test/bench/resolve/echo-server.ts', {}))],
    ['engine, a constant', started.use(await spawnServer('test/bench/wire/engine-server.ts', {}))],
    ['sidecar on grpc-js', await sidecar('grpc-js')],
    ['sidecar on wire', await sidecar('wire')],
  ]);
  if (isInstalled('nginx')) servers.set('nginx, a constant', started.use(await startNginxReply(constantAnswer.length)));
  return servers;
}
