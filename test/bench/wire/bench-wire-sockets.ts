import { join } from 'node:path';
import { TestAuthority } from '../../support/certificates.ts';
import { makeSocketDirectory } from '../../support/sidecar.ts';
import type { BenchOptions } from '../bench-options.ts';
import { type Listening, variablesOf } from '../listening.ts';
import { printTable } from '../report.ts';
import { spawnServer, type BenchServer } from '../spawn-server.ts';
import { compareServers, comparisonHeadings, loadShapes, type Target } from './compare-servers.ts';
import { constantAnswer } from './constant-answer.ts';
import { isInstalled, startNginxReply } from './native-servers.ts';
import { resolvePath, resolveRequest, startSidecarServer, startSource } from './wire-servers.ts';

/** What calls cost over the socket of files that apps use by default, and over TLS, each beside grpc-js over the same. */
export async function benchWireSockets(options: BenchOptions): Promise<void> {
  printTable(comparisonHeadings, await compareOverSockets(options));
}

/** Rows of it. */
export async function compareOverSockets(options: BenchOptions): Promise<(string | number)[][]> {
  await using started = new AsyncDisposableStack();
  const groups = [await startOverUnix(started, options.routes), await startOverTls(started)];
  const rows: (string | number)[][] = [];
  for (const shape of loadShapes)
    for (const servers of groups)
      rows.push(...(await compareServers(targetsOf(servers, options.routes), shape, options)));
  return rows;
}

type Group = { readonly over: string; readonly servers: ReadonlyMap<string, BenchServer>; readonly isSecure: boolean };

function targetsOf({ over, servers, isSecure }: Group, routes: number): Target[] {
  const request = resolveRequest(routes);
  return [...servers].map(([name, server]) => ({
    name: `${over}: ${name}`,
    server,
    path: resolvePath,
    request,
    isSecure,
  }));
}

async function startOverUnix(started: AsyncDisposableStack, routes: number): Promise<Group> {
  const { path } = started.use(await makeSocketDirectory());
  const at = (name: string): Listening => ({ socketPath: join(path, name), tls: undefined });
  const servers = await startConstants(started, at);
  const source = started.use(await startSource(routes));
  const socketPath = join(path, 'sidecar');
  const sidecar = started.use(await startSidecarServer(source, { front: 'wire', socketPath }));
  // It listens on a port too, which is what it tells.
  return {
    over: 'unix',
    servers: servers.set('sidecar on wire', { ...sidecar, address: `unix:${socketPath}` }),
    isSecure: false,
  };
}

async function startOverTls(started: AsyncDisposableStack): Promise<Group> {
  const { certificate: cert, key } = new TestAuthority().issue();
  const servers = await startConstants(started, () => ({ socketPath: undefined, tls: { cert, key } }));
  return { over: 'TLS', servers, isSecure: true };
}

/** Servers that answer a constant; grpc-js first, which the others are compared with. */
async function startConstants(
  started: AsyncDisposableStack,
  listening: (name: string) => Listening,
): Promise<Map<string, BenchServer>> {
  const script = async (name: string, file: string): Promise<BenchServer> =>
    started.use(await spawnServer(file, variablesOf(listening(name))));
  const servers = new Map([
    ['grpc-js, a constant', await script('grpc-js', 'test/bench/resolve/echo-server.ts')],
    ['engine, a constant', await script('engine', 'test/bench/wire/engine-server.ts')],
  ]);
  if (isInstalled('nginx'))
    servers.set('nginx, a constant', started.use(await startNginxReply(constantAnswer.length, listening('nginx'))));
  return servers;
}
