import { createClient } from '../../../src/client/create-client.ts';
import { benchKey } from '../resolve/bench-routes.ts';
import { spawnServer, type BenchServer } from '../spawn-server.ts';

/** A sidecar that follows a source of routes. */
export async function startFollowing(
  source: BenchServer,
  variables: Readonly<Record<string, string>> = {},
): Promise<BenchServer> {
  return await spawnServer('test/bench/resolve/sidecar-server.ts', {
    TM_SIDECAR_SOURCE: `grpc://${source.address}`,
    ...variables,
  });
}

/** Waits until a sidecar holds so many of its source's routes. */
export async function isHeld({ address }: BenchServer, routes: number): Promise<void> {
  using client = createClient({ address });
  await client.resolver.resolve({ key: benchKey(routes - 1) }, { timeoutMs: 60_000 });
}
