import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { MethodDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { service as healthService } from 'grpc-health-check';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { findFreePort } from '../../deploy/embedded/listen-address.ts';
import { createClient, type TrafficManagerClient } from '../../src/client/index.ts';
import { ListenError } from '../../src/platform/grpc/server.ts';
import { startTestControlPlane } from '../support/control-plane.ts';
import { createDatabase } from '../support/postgres.ts';
import {
  keyOf,
  makeSocketDirectory,
  putRoute,
  putTenant,
  startTestSidecar,
  type TestSidecar,
} from '../support/sidecar.ts';

const key = { version: 'v1' };

let started: AsyncDisposableStack;
let controlPlaneAddress: string;

beforeEach(async () => {
  started = new AsyncDisposableStack();
  controlPlaneAddress = `127.0.0.1:${await findFreePort()}`;
});
afterEach(async () => await started.disposeAsync());

/**
 * Starts a control plane where sidecars look for one. Its client is that of a second one over the same database: grpc-js
 * shares a connection inside a process, also one that has failed to come about.
 */
async function startControlPlane(): Promise<{ stop(): Promise<void>; client: TrafficManagerClient }> {
  const database = started.use(await createDatabase(inject('postgresUrl')));
  const { client } = started.use(await startTestControlPlane(database.url));
  await putTenant(client);
  await putRoute(client, key);
  const { stop } = started.use(await startTestControlPlane(database.url, { address: controlPlaneAddress }));
  return { stop, client };
}

async function startSidecar(config: Omit<Parameters<typeof startTestSidecar>[0], 'source'> = {}): Promise<TestSidecar> {
  const scope = { tenants: ['acme'], onDemand: false };
  return started.use(await startTestSidecar({ source: `grpc://${controlPlaneAddress}`, scope, ...config }));
}

type HealthMethod = MethodDefinition<{ service: string }, { status: string }>;

async function healthOf({ transport }: TrafficManagerClient, service = ''): Promise<string> {
  return (await transport.unary(healthService['Check'] as unknown as HealthMethod, { service })).status;
}

/** The statuses of a server as it tells them, each change once, until the signal fires. */
async function* watchHealth(
  { transport }: TrafficManagerClient,
  { service = '', signal }: { service?: string; signal?: AbortSignal },
): AsyncGenerator<string, void, void> {
  const method = healthService['Watch'] as unknown as HealthMethod;
  for await (const { status } of transport.serverStream(method, { service }, { signal })) yield status;
}

describe('health', () => {
  test('not serving until every tenant of the scope has its first snapshot, as a whole and each service', async () => {
    const sidecar = await startSidecar();
    const services = ['', 'trafficmanager.v1.ResolverService', 'trafficmanager.v1.WatchService'];
    const watches = services.map((service) => watchHealth(sidecar.client, { service }));
    const told = async (): Promise<unknown[]> =>
      await Promise.all(watches.map(async (each) => (await each.next()).value));
    for (const service of services) expect(await healthOf(sidecar.client, service)).toBe('NOT_SERVING');
    expect(await told()).toEqual(['NOT_SERVING', 'NOT_SERVING', 'NOT_SERVING']);
    await startControlPlane();
    expect(await told()).toEqual(['SERVING', 'SERVING', 'SERVING']);
    expect(await sidecar.resolve(key)).toMatchObject({ route: { key: keyOf(key) } });
    for (const watch of watches) await watch.return();
  });

  test('a tenant of the scope that does not exist does not keep it from serving', async () => {
    await startControlPlane();
    const sidecar = await startSidecar({ scope: { tenants: ['acme', 'nobody'], onDemand: false } });
    for await (const status of watchHealth(sidecar.client, {})) if (status === 'SERVING') break;
    expect(await healthOf(sidecar.client)).toBe('SERVING');
  });

  test('it serves on when the control plane is gone: how old an answer is, the answer says', async () => {
    const controlPlane = await startControlPlane();
    const sidecar = await startSidecar();
    await sidecar.untilRevision('acme', 2n);
    await controlPlane.stop();
    await sidecar.untilResolved(key, ({ freshness }) => freshness?.stale === true);
    expect(await healthOf(sidecar.client)).toBe('SERVING');
  });

  test('it stops serving when it begins to shut down, and for good', async () => {
    const { client } = await startControlPlane();
    const sidecar = await startSidecar();
    await sidecar.untilRevision('acme', 2n);
    const watching = new AbortController();
    const statuses = watchHealth(sidecar.client, { signal: watching.signal });
    expect(await statuses.next()).toMatchObject({ value: 'SERVING' });
    // A lookup that is under way keeps the server, so that what changes meanwhile can be seen.
    const underWay = sidecar.resolve(key, { consistency: { $case: 'minRevision', value: 3n } });
    // It has arrived when a later one on the same connection is answered.
    await sidecar.resolve(key);
    const stopping = sidecar[Symbol.asyncDispose]();
    expect(await statuses.next()).toMatchObject({ value: 'NOT_SERVING' });
    // A watch that stayed would keep the server until its deadline.
    expect(await statuses.next()).toMatchObject({ done: true });
    await putRoute(client, key, 'grpc://changed:1');
    expect((await underWay).route?.endpoints[0]?.url).toBe('grpc://changed:1');
    watching.abort();
    await stopping;
  });
});

describe('reflection', () => {
  test('lists what is served, and describes it', async () => {
    const sidecar = await startSidecar();
    const proto = new URL(
      '../../node_modules/@grpc/reflection/build/proto/grpc/reflection/v1/reflection.proto',
      import.meta.url,
    );
    const loaded = loadSync(proto.pathname) as Record<string, Record<string, unknown>>;
    const method = loaded['grpc.reflection.v1.ServerReflection']?.['ServerReflectionInfo'] as MethodDefinition<
      object,
      Reflected
    >;
    async function* questions() {
      yield { listServices: '' };
      yield { fileContainingSymbol: 'trafficmanager.v1.ResolverService' };
    }
    const answers: Reflected[] = [];
    for await (const answer of sidecar.client.transport.duplex(method, questions())) answers.push(answer);
    const names = answers[0]?.listServicesResponse?.service.map(({ name }) => name);
    expect(names).toEqual(
      expect.arrayContaining(['trafficmanager.v1.ResolverService', 'trafficmanager.v1.WatchService']),
    );
    expect(answers[1]?.fileDescriptorResponse?.fileDescriptorProto.length).toBeGreaterThan(0);
  });
});

type Reflected = {
  listServicesResponse?: { service: { name: string }[] };
  fileDescriptorResponse?: { fileDescriptorProto: Uint8Array[] };
};

/** As a process leaves it that is killed: closing a server of Node's removes it. */
async function leaveSocket(socketPath: string): Promise<void> {
  const program = `require('node:net').createServer().listen(${JSON.stringify(socketPath)}, () => process.kill(process.pid, 'SIGKILL'))`;
  await once(spawn(process.execPath, ['-e', program]), 'exit');
}

describe('the socket', () => {
  test('is for its own user only, and goes with the sidecar', async () => {
    const { path } = started.use(await makeSocketDirectory());
    const socketPath = join(path, 'a.sock');
    const sidecar = await startSidecar({ socketPath });
    expect(((await stat(socketPath)).mode & 0o777).toString(8)).toBe('600');
    expect(sidecar.socket).toBe(`unix:${socketPath}`);
    await sidecar[Symbol.asyncDispose]();
    await expect(stat(socketPath)).rejects.toThrow('ENOENT');
  });

  test('alone is enough', async () => {
    await startControlPlane();
    const sidecar = await startSidecar({ address: undefined });
    expect(sidecar.address).toBe('');
    expect((await sidecar.resolve(key)).route?.key).toEqual(keyOf(key));
  });

  test('that a killed process left is taken over, and one that answers is not', async () => {
    const { path } = started.use(await makeSocketDirectory());
    const socketPath = join(path, 'a.sock');
    const living = createServer().listen(socketPath);
    await once(living, 'listening');
    await expect(startSidecar({ socketPath })).rejects.toThrow(
      new ListenError(
        `cannot listen on unix:${socketPath}: it is in use; stop what listens there or choose another path`,
      ),
    );
    living.close();
    await once(living, 'close');
    await leaveSocket(socketPath);
    const sidecar = await startSidecar({ socketPath });
    using client = createClient({ address: sidecar.socket });
    expect(await healthOf(client)).toBe('NOT_SERVING');
  });

  test.each(['a file', 'a directory'])('never takes the place of %s that is no socket', async (kind) => {
    const { path } = started.use(await makeSocketDirectory());
    const socketPath = join(path, 'precious');
    if (kind === 'a file') await writeFile(socketPath, 'precious');
    else await mkdir(socketPath);
    await expect(startSidecar({ socketPath })).rejects.toThrow(ListenError);
    if (kind === 'a file') expect(await readFile(socketPath, 'utf8')).toBe('precious');
    else expect((await stat(socketPath)).isDirectory()).toBe(true);
  });

  test('in a directory that is not there is refused in one line', async () => {
    const { path } = started.use(await makeSocketDirectory());
    const socketPath = join(path, 'nowhere', 'a.sock');
    await expect(startSidecar({ socketPath })).rejects.toThrow(
      new ListenError(`cannot listen on unix:${socketPath}: its directory does not exist`),
    );
  });
});

test('an address that is taken is refused in one line', async () => {
  const taken = createServer().listen({ host: '127.0.0.1', port: 0 });
  await once(taken, 'listening');
  const { port } = taken.address() as { port: number };
  const refused = startSidecar({ address: `127.0.0.1:${port}` });
  await expect(refused).rejects.toThrow(
    new ListenError(
      `cannot listen on 127.0.0.1:${port}: it is in use; stop what listens there or choose another address`,
    ),
  );
  taken.close();
  await once(taken, 'close');
});
