import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { findFreePort } from '../../deploy/embedded/listen-address.ts';
import { createClient, message, ResolveRequest, type TrafficManagerClient } from '../../src/client/index.ts';
import { createDatabase } from '../support/postgres.ts';
import { runProcess, startProcess, type TestProcess } from '../support/sidecar-process.ts';
import {
  endsSnapshot,
  keyOf,
  lookupsOf,
  makeSocketDirectory,
  putRoute,
  putTenant,
  takeUntil,
} from '../support/sidecar.ts';

/** Longer than a test may take: what ends in time has not been forced to. */
const patientDrain = { TM_DRAIN_MS: '600000' };

let started: AsyncDisposableStack;

beforeEach(() => {
  started = new AsyncDisposableStack();
});
afterEach(async () => await started.disposeAsync());

type Mesh = Awaited<ReturnType<typeof startMesh>>;

/** A control plane and a sidecar of one tenant with so many routes, as processes. */
async function startMesh(routes: number) {
  const { url } = started.use(await createDatabase(inject('postgresUrl')));
  const { path } = started.use(await makeSocketDirectory());
  const address = `127.0.0.1:${await findFreePort()}`;
  const startControlPlane = async (): Promise<TestProcess> =>
    started.use(
      await startProcess('controlPlane', { DATABASE_URL: url, TM_CONTROL_PLANE_ADDRESS: address, ...patientDrain }),
    );
  const controlPlane = await startControlPlane();
  const writer = started.use(createClient({ address, defaults: { timeoutMs: 30_000 } }));
  await putTenant(writer);
  let revision = 0n;
  for (let route = 0; route < routes; route++)
    revision = await putRoute(writer, { version: `v${route}` }, `grpc://v${route}:1`);
  const sidecar = started.use(
    await startProcess('sidecar', {
      TM_SIDECAR_ADDRESS: 'off',
      TM_SIDECAR_SOCKET: join(path, 'sidecar.sock'),
      TM_SIDECAR_SOURCE: `grpc://${address}`,
      TM_SIDECAR_TENANTS: 'acme',
      ...patientDrain,
    }),
  );
  const [socket = ''] = sidecar.addresses;
  const client = started.use(createClient({ address: socket, defaults: { timeoutMs: 30_000 } }));
  await lookupsOf(client).untilRevision('acme', revision);
  return { controlPlane, startControlPlane, sidecar, writer, client, ...lookupsOf(client) };
}

/** Looks up one route after the other, again and again, and counts the answers that were not as they must be. */
function lookUpAllTheTime({ resolve }: Mesh, routes: number) {
  const stopping = new AbortController();
  let lookups = 0;
  const wrong: unknown[] = [];
  const running = (async () => {
    while (!stopping.signal.aborted) {
      const version = `v${lookups % routes}`;
      lookups += 1;
      const answer = await resolve({ version }).catch((error: unknown) => error);
      const url = (answer as Awaited<ReturnType<typeof resolve>>).route?.endpoints[0]?.url;
      if (url !== `grpc://${version}:1`) wrong.push(answer);
    }
  })();
  return {
    lookups: () => lookups,
    end: async (): Promise<unknown[]> => {
      stopping.abort();
      await running;
      return wrong;
    },
  };
}

const isStale = ({ freshness }: { freshness?: { stale: boolean } | undefined }): boolean => freshness?.stale === true;
const isLive = ({ freshness }: { freshness?: { stale: boolean } | undefined }): boolean => freshness?.stale === false;
const strong = { $case: 'strong', value: true } as const;

describe('a control plane that dies under lookups', () => {
  test.each(['SIGKILL', 'SIGSTOP'] as const)(
    'by %s: every lookup of a held route is answered, before, after and when it is back',
    async (signal) => {
      const routes = 20;
      const mesh = await startMesh(routes);
      const { controlPlane, startControlPlane, untilResolved, resolve } = mesh;
      const lookups = lookUpAllTheTime(mesh, routes);
      await untilResolved({ version: 'v0' }, isLive);
      controlPlane.child.kill(signal);
      if (signal === 'SIGKILL') expect(await controlPlane.ended).toMatchObject({ signal });
      await untilResolved({ version: 'v0' }, isStale);
      await expect(resolve({ version: 'v0' }, { consistency: strong })).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        reason: 'CONTROL_PLANE_UNAVAILABLE',
      });
      const atDeath = lookups.lookups();
      while (lookups.lookups() < atDeath + 200) await resolve({ version: 'v0' });
      if (signal === 'SIGKILL') await startControlPlane();
      else controlPlane.child.kill('SIGCONT');
      await untilResolved({ version: 'v0' }, isLive);
      const atReturn = lookups.lookups();
      while (lookups.lookups() < atReturn + 100) await resolve({ version: 'v0' });
      expect(await lookups.end()).toEqual([]);
    },
  );
});

describe('stopping', () => {
  /** Streams of every kind that a sidecar serves, in the middle of their life. */
  async function openStreams(client: TrafficManagerClient) {
    async function* askOnce() {
      yield { requests: [message(ResolveRequest, { key: keyOf({ version: 'v0' }) })] };
      // The caller means to ask more.
      await new Promise(() => {});
    }
    const watch = client.watch({ tenant: 'acme' });
    await takeUntil(watch, endsSnapshot);
    const resolving = client.resolver.streamResolve(askOnce());
    expect((await resolving.next()).done).toBe(false);
    return [watch, resolving];
  }

  test('a sidecar on SIGTERM ends its streams, answers what is under way, and exits with 0', async () => {
    const { sidecar, client, resolve, writer } = await startMesh(1);
    const streams = await openStreams(client);
    const underWay = resolve({ version: 'v1' }, { consistency: { $case: 'minRevision', value: 3n } });
    // It has arrived when a later one on the same connection is answered.
    await resolve({ version: 'v0' });
    sidecar.child.kill('SIGTERM');
    for (const stream of streams) {
      await expect(stream.next()).rejects.toMatchObject({ code: 'UNAVAILABLE', reason: 'SHUTTING_DOWN' });
    }
    await putRoute(writer, { version: 'v1' }, 'grpc://v1:1');
    expect((await underWay).route?.endpoints[0]?.url).toBe('grpc://v1:1');
    expect(await sidecar.ended).toEqual({ code: 0, signal: null, errors: '' });
  });

  test('a control plane on SIGINT ends its streams and exits with 0', async () => {
    const { controlPlane, writer } = await startMesh(1);
    const streams = await openStreams(writer);
    controlPlane.child.kill('SIGINT');
    for (const stream of streams) {
      await expect(stream.next()).rejects.toMatchObject({ code: 'UNAVAILABLE', reason: 'SHUTTING_DOWN' });
    }
    expect(await controlPlane.ended).toEqual({ code: 0, signal: null, errors: '' });
  });

  test('they end when the process that started them is gone', async () => {
    const { controlPlane, sidecar } = await startMesh(1);
    sidecar.child.disconnect();
    expect(await sidecar.ended).toMatchObject({ code: 0 });
    controlPlane.child.disconnect();
    expect(await controlPlane.ended).toMatchObject({ code: 0 });
  });
});

describe('a start that cannot be', () => {
  const database = 'postgres://nobody@127.0.0.1:1/nowhere';

  test.each([
    ['sidecar', 'TM_SIDECAR_ADDRESS', '0.0.0.0:7401'],
    ['controlPlane', 'DATABASE_URL', ''],
  ] as const)('of the %s with %s=%s: one line that names it, and exit code 1', async (program, name, value) => {
    const { code, errors } = await runProcess(program, { DATABASE_URL: database, [name]: value });
    expect(errors).toMatch(new RegExp(`^error: ${name}.*\n$`));
    expect(code).toBe(1);
  });

  test('because the address is taken: one line that names it, and exit code 1', async () => {
    const { url } = started.use(await createDatabase(inject('postgresUrl')));
    const other = createServer().listen({ host: '127.0.0.1', port: 0 });
    await once(other, 'listening');
    const address = `127.0.0.1:${(other.address() as { port: number }).port}`;
    const line = `error: cannot listen on ${address}: it is in use; stop what listens there or choose another address\n`;
    const ended = { code: 1, signal: null, errors: line };
    expect(await runProcess('sidecar', { TM_SIDECAR_ADDRESS: address })).toEqual(ended);
    expect(await runProcess('controlPlane', { DATABASE_URL: url, TM_CONTROL_PLANE_ADDRESS: address })).toEqual(ended);
    other.close();
    await once(other, 'close');
  });
});
