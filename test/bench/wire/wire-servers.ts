import { createClient } from '../../../src/client/create-client.ts';
import { ResolveRequest } from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import { benchKey } from '../resolve/bench-routes.ts';
import { spawnServer, type BenchServer } from '../spawn-server.ts';
import { constantAnswer } from './constant-answer.ts';
import { isInstalled, startNginxReply } from './native-servers.ts';

export const resolvePath = '/trafficmanager.v1.ResolverService/Resolve';

/** The call that servers are compared by: the route in the middle. */
export function resolveRequest(routes: number): Buffer {
  const key = benchKey(Math.floor(routes / 2));
  return Buffer.from(ResolveRequest.encode({ key, hashKey: '', attributes: {}, method: '' }).finish());
}

/** What a sidecar has its routes from. */
export async function startSource(routes: number): Promise<BenchServer> {
  return await spawnServer('test/bench/resolve/snapshot-server.ts', { BENCH_ROUTES: String(routes) });
}

/** A sidecar that has its routes, on a port, and on a unix socket if it is told which. */
export async function startSidecarServer(
  source: BenchServer,
  { front, socketPath = 'off' }: { readonly front: string; readonly socketPath?: string },
): Promise<BenchServer> {
  const server = await spawnServer('test/bench/resolve/sidecar-server.ts', {
    TM_SIDECAR_SOURCE: `grpc://${source.address}`,
    TM_SIDECAR_WIRE: front,
    TM_SIDECAR_SOCKET: socketPath,
  });
  using client = createClient({ address: server.address });
  await client.resolver.resolve({ key: benchKey(1) }, { timeoutMs: 60_000 });
  return server;
}

/** The servers that are held beside each other, grpc-js first: what all others are compared with. */
export async function startWireServers(
  started: AsyncDisposableStack,
  routes: number,
): Promise<Map<string, BenchServer>> {
  const source = started.use(await startSource(routes));
  const servers = new Map([
    ['grpc-js, a constant', started.use(await spawnServer('test/bench/resolve/echo-server.ts', {}))],
    ['engine, a constant', started.use(await spawnServer('test/bench/wire/engine-server.ts', {}))],
    ['sidecar on grpc-js', started.use(await startSidecarServer(source, { front: 'grpc-js' }))],
    ['sidecar on wire', started.use(await startSidecarServer(source, { front: 'wire' }))],
  ]);
  if (isInstalled('nginx')) servers.set('nginx, a constant', started.use(await startNginxReply(constantAnswer.length)));
  return servers;
}
