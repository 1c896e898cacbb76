import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ChannelKind } from '../../src/client/channel.ts';
import {
  createClient,
  message,
  Route,
  Tenant,
  TrafficManagerError,
  type TrafficManagerClient,
  type TransportOptions,
} from '../../src/client/index.ts';
import { SnapshotChunk, type WatchResponse } from '../../src/gen/trafficmanager/v1/watch_service.ts';
import { startFakeControlPlane, type FakeControlPlane } from '../integration/cli-fake-control-plane.ts';
import { Refusal } from '../integration/cli-refusal.ts';

const KEY = { tenant: 'acme', service: 'cart', environment: 'production', version: 'v1' };

/**
 * The contract of a client: what its callers can see is the same, whatever carries its calls.
 */
export function describeClient(channel: ChannelKind): void {
  describe(`a client over ${channel}`, () => {
    let server: FakeControlPlane;
    let client: TrafficManagerClient;

    beforeEach(async () => {
      server = await startFakeControlPlane();
      client = createClient({ address: server.address, channel });
    });

    afterEach(async () => {
      client.close();
      await server[Symbol.asyncDispose]();
    });

    function connect(defaults: TransportOptions['defaults']): TrafficManagerClient {
      client.close();
      client = createClient({ address: server.address, defaults, channel });
      return client;
    }

    async function failureOf(call: Promise<unknown>): Promise<TrafficManagerError> {
      const error = await call.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(TrafficManagerError);
      return error as TrafficManagerError;
    }

    /** Resolves with what the server saw, once it sees a call; that call is never answered. */
    function holdCalls(): Promise<void> {
      return new Promise((resolve) => {
        server.intercept = () => {
          resolve();
          return new Promise(() => undefined);
        };
      });
    }

    test('fields that are left out have their defaults, and those given arrive', async () => {
      await client.tenants.createTenant({ tenant: message(Tenant, { tenant: 'acme' }) });
      const { route, revision, change } = await client.routes.createRoute({ route: message(Route, { key: KEY }) });
      expect(route?.key).toEqual(KEY);
      expect([revision, change?.revision]).toEqual([2n, 2n]);
      expect(server.calls.at(-1)?.request).toMatchObject({ requestId: '', validateOnly: false, route: { key: KEY } });
    });

    test('a failure has its code, reason, metadata, all field violations, the retry hint and the correlation id', async () => {
      server.intercept = () => {
        throw new Refusal({
          code: status.INVALID_ARGUMENT,
          reason: 'INVALID_FIELDS',
          message: '2 fields are wrong.',
          metadata: { count: '2' },
          violations: [
            { field: 'key.tenant', description: 'is required' },
            { field: 'key.version', description: 'is required' },
          ],
          retryDelayMs: 1_250,
        });
      };
      const error = await failureOf(client.routes.getRoute({ key: KEY }, { correlationId: 'c-1' }));
      expect(error).toMatchObject({
        name: 'TrafficManagerError',
        code: 'INVALID_ARGUMENT',
        message: '2 fields are wrong.',
        reason: 'INVALID_FIELDS',
        metadata: { count: '2' },
        fieldViolations: [
          { field: 'key.tenant', description: 'is required' },
          { field: 'key.version', description: 'is required' },
        ],
        retryDelayMs: 1_250,
        correlationId: 'c-1',
      });
      expect(error.cause).toMatchObject({ code: status.INVALID_ARGUMENT });
    });

    test('the correlation id that the server made comes back with the failure', async () => {
      const error = await failureOf(client.routes.getRoute({ key: KEY }));
      expect(error).toMatchObject({ code: 'NOT_FOUND', reason: 'ROUTE_NOT_FOUND', correlationId: 'made-by-server' });
    });

    test('actor, correlation id and other metadata go out; what the call says wins over the defaults', async () => {
      connect({ actor: 'ci', correlationId: 'c-1', metadata: { 'x-a': '1', 'x-b': '1' } });
      await client.tenants.listTenants({});
      await client.tenants.listTenants({}, { actor: 'alice', metadata: { 'x-b': '2' } });
      expect(server.calls.map(({ metadata }) => metadata)).toEqual([
        expect.objectContaining({ 'x-actor': 'ci', 'x-correlation-id': 'c-1', 'x-a': '1', 'x-b': '1' }),
        expect.objectContaining({ 'x-actor': 'alice', 'x-correlation-id': 'c-1', 'x-a': '1', 'x-b': '2' }),
      ]);
    });

    test('metadata that gRPC cannot carry is refused before anything is sent', async () => {
      const error = await failureOf(client.tenants.listTenants({}, { actor: 'Zoë' }));
      expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', fieldViolations: [{ field: 'x-actor' }] });
      expect(server.calls).toEqual([]);
    });

    const HOUR_MS = 3_600_000;

    test.each([
      ['5 seconds', {}, undefined, 5_000],
      ['what the defaults say', { timeoutMs: 600_000 }, undefined, 600_000],
      ['what the call says', { timeoutMs: 600_000 }, 1_800_000, 1_800_000],
    ])('the deadline is %s from now, as the clock has it', async (_what, defaults, timeoutMs, expectedMs) => {
      const clock = { wallMs: () => Date.now() + HOUR_MS };
      using timed = createClient({ address: server.address, defaults, clock, channel });
      const beforeMs = clock.wallMs();
      await timed.tenants.listTenants({}, { timeoutMs });
      const afterMs = clock.wallMs();
      const deadlineMs = Number(server.calls[0]?.deadline);
      // gRPC sends what is left, rounded up to a millisecond.
      expect(deadlineMs).toBeGreaterThanOrEqual(beforeMs + expectedMs);
      expect(deadlineMs).toBeLessThanOrEqual(afterMs + expectedMs + 1);
    });

    test.each([Infinity, Number.MAX_SAFE_INTEGER])('a call without end (%d ms) has no deadline', async (timeoutMs) => {
      await client.tenants.listTenants({}, { timeoutMs });
      expect(server.calls[0]?.deadline).toBe(Infinity);
    });

    test('a call whose time is up before it begins is not sent', async () => {
      await client.tenants.listTenants({});
      for (const timeoutMs of [0, -1])
        expect((await failureOf(client.tenants.listTenants({}, { timeoutMs }))).code).toBe('DEADLINE_EXCEEDED');
      await client.tenants.listTenants({});
      expect(server.calls).toHaveLength(2);
    });

    test('a call past its deadline fails with DEADLINE_EXCEEDED', async () => {
      void holdCalls();
      expect(await failureOf(client.tenants.listTenants({}, { timeoutMs: 1 }))).toMatchObject({
        code: 'DEADLINE_EXCEEDED',
      });
    });

    test('a signal cancels a call under way; its reason is the cause', async () => {
      const held = holdCalls();
      const controller = new AbortController();
      const failure = failureOf(client.tenants.listTenants({}, { signal: controller.signal, correlationId: 'c-1' }));
      await held;
      const reason = new Error('Enough.');
      controller.abort(reason);
      expect(await failure).toMatchObject({ code: 'CANCELLED', correlationId: 'c-1', cause: reason });
    });

    test('a signal that has aborted before means that nothing is sent', async () => {
      const error = await failureOf(client.tenants.listTenants({}, { signal: AbortSignal.abort() }));
      expect(error.code).toBe('CANCELLED');
      const watching = client.watch({ tenant: 'acme' }, { signal: AbortSignal.abort() });
      expect((await failureOf(watching.next())).code).toBe('CANCELLED');
      expect(server.calls).toEqual([]);
    });

    test('a server that is not there is UNAVAILABLE, with the correlation id that was sent', async () => {
      connect({ correlationId: 'c-1' });
      await server[Symbol.asyncDispose]();
      const error = await failureOf(client.tenants.listTenants({}));
      expect(error).toMatchObject({ code: 'UNAVAILABLE', reason: '', correlationId: 'c-1' });
    });

    test('a unix socket is an address', async () => {
      const directory = await mkdtemp(join(tmpdir(), 'tm-client-'));
      try {
        const address = `unix:${directory}/tm.sock`;
        await using local = await startFakeControlPlane(address);
        using overSocket = createClient({ address, channel });
        expect(await overSocket.tenants.listTenants({})).toEqual({ tenants: [], nextPageToken: '' });
        expect(local.calls).toHaveLength(1);
      } finally {
        await rm(directory, { recursive: true });
      }
    });

    function progress(revision: bigint): WatchResponse {
      return { revision, commitId: 'c', event: { $case: 'progress', value: {} }, stalenessMs: 0n };
    }

    test('a watch yields what the server sends, has no deadline by default, and ends with it', async () => {
      connect({ timeoutMs: 1 });
      server.watch = async (call) => {
        for (const revision of [1n, 2n, 3n]) call.write(progress(revision));
        call.end();
      };
      const revisions: bigint[] = [];
      for await (const { revision } of client.watch({ tenant: 'acme', afterRevision: 0n })) revisions.push(revision);
      expect(revisions).toEqual([1n, 2n, 3n]);
      expect(server.calls[0]).toMatchObject({
        request: { tenant: 'acme', afterRevision: 0n, services: [] },
        deadline: Infinity,
      });
    });

    test('a watch is not opened before it is read', async () => {
      client.watch({ tenant: 'acme' });
      await client.tenants.listTenants({});
      expect(server.calls.map(({ method }) => method)).toEqual(['ListTenants']);
    });

    test('what came before a failure is yielded before it is thrown', async () => {
      server.watch = async (call) => {
        call.write(progress(1n));
        call.write(progress(2n));
        call.emit('error', { code: status.OUT_OF_RANGE, details: 'Too old.' });
      };
      const revisions: bigint[] = [];
      const failure = await failureOf(
        (async () => {
          for await (const { revision } of client.watch({ tenant: 'acme' })) revisions.push(revision);
        })(),
      );
      expect(revisions).toEqual([1n, 2n]);
      expect(failure).toMatchObject({ code: 'OUT_OF_RANGE', message: 'Too old.' });
    });

    test('leaving the loop ends the watch on the server', async () => {
      const cancelled = new Promise<void>((resolve) => {
        server.watch = async (call) => {
          call.write(progress(1n));
          await once(call, 'cancelled');
          resolve();
        };
      });
      for await (const { revision } of client.watch({ tenant: 'acme' })) {
        if (revision === 1n) break;
      }
      await expect(cancelled).resolves.toBeUndefined();
    });

    test('a signal ends a watch that waits', async () => {
      const controller = new AbortController();
      server.watch = async (call) => {
        call.write(progress(1n));
      };
      const watching = client.watch({ tenant: 'acme' }, { signal: controller.signal });
      await watching.next();
      const failure = failureOf(watching.next());
      controller.abort();
      expect((await failure).code).toBe('CANCELLED');
    });

    test('a slow reader holds the server back instead of gathering what it sends', async () => {
      const TOTAL = 1_000;
      const AHEAD_MAX = 100;
      // 64 KiB each. Measured: 32 ahead (16 in the stream buffer of either side), 341 with a reader that takes all at once.
      const etag = 'x'.repeat(64 * 1024);
      const value = { ...SnapshotChunk.decode(new Uint8Array()), routes: [message(Route, { etag })] };
      let sent = 0;
      server.watch = async (call) => {
        for (; sent < TOTAL; sent++) {
          const more = call.write({ ...progress(BigInt(sent)), event: { $case: 'snapshotChunk', value } });
          if (!more) await once(call, 'drain');
        }
        call.end();
      };
      let read = 0;
      let aheadPeak = 0;
      for await (const { revision } of client.watch({ tenant: 'acme' })) {
        expect(revision).toBe(BigInt(read));
        read++;
        // Long enough for the server to run ahead, if nothing stopped it.
        for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
        aheadPeak = Math.max(aheadPeak, sent - read);
      }
      expect(read).toBe(TOTAL);
      expect(aheadPeak).toBeLessThan(AHEAD_MAX);
    });

    test('a stream of requests gets its answers in order, and ends after the last', async () => {
      server.routes.set('acme/cart/production/v1', message(Route, { key: KEY, etag: 'e1' }));
      async function* requests() {
        for (let index = 0; index < 3; index++) yield { requests: [resolveRequest(), resolveRequest()] };
      }
      const etags: (string | undefined)[][] = [];
      for await (const { results } of client.resolver.streamResolve(requests())) {
        etags.push(results.map(({ result }) => (result?.$case === 'response' ? result.value.route?.etag : undefined)));
      }
      expect(etags).toEqual([
        ['e1', 'e1'],
        ['e1', 'e1'],
        ['e1', 'e1'],
      ]);
    });

    test('requests that fail to come end the call with their own error', async () => {
      const broken = new Error('No more requests.');
      // eslint-disable-next-line require-yield -- It fails before the first one.
      async function* requests(): AsyncGenerator<never, void, void> {
        await client.tenants.listTenants({});
        throw broken;
      }
      await expect(client.resolver.streamResolve(requests()).next()).rejects.toBe(broken);
    });

    test('makes 1,000 calls at a time', async () => {
      const tenants = Array.from({ length: 1_000 }, (_none, index) => `tenant-${index}`);
      for (const tenant of tenants) server.tenants.set(tenant, message(Tenant, { tenant }));
      const all = await Promise.all(
        tenants.map((tenant) => client.tenants.getTenant({ tenant }, { timeoutMs: 30_000 })),
      );
      expect(all.map(({ tenant }) => tenant?.tenant)).toEqual(tenants);
    });

    test('carries messages larger than the windows of HTTP/2, both ways', async () => {
      const etag = 'x'.repeat(3_000_000);
      const labels = { note: 'y'.repeat(3_000_000) };
      server.routes.set('acme/cart/production/v1', message(Route, { key: KEY, etag }));
      expect((await client.routes.getRoute({ key: KEY })).route?.etag).toBe(etag);
      await client.tenants.createTenant({ tenant: message(Tenant, { tenant: 'acme' }) });
      const key = { ...KEY, version: 'v2' };
      expect((await client.routes.createRoute({ route: message(Route, { key, labels }) })).route?.labels).toEqual(
        labels,
      );
    });

    test('is UNAVAILABLE while nobody listens, and calls again when somebody does', async () => {
      const { address } = server;
      await client.tenants.listTenants({});
      await server[Symbol.asyncDispose]();
      for (let tries = 0; tries < 3; tries++)
        expect((await failureOf(client.tenants.listTenants({}))).code).toBe('UNAVAILABLE');
      server = await startFakeControlPlane(address);
      const ask = (): Promise<unknown> => client.tenants.listTenants({}).catch((error: unknown) => error);
      await expect.poll(ask, { timeout: 20_000 }).toEqual({ tenants: [], nextPageToken: '' });
    });

    test('takes no more calls once it is closed, and those under way finish', async () => {
      const release = Promise.withResolvers<void>();
      const seen = new Promise<void>((resolve) => {
        server.intercept = () => {
          resolve();
          return release.promise;
        };
      });
      const underWay = client.tenants.listTenants({});
      await seen;
      client.close();
      expect((await failureOf(client.tenants.getTenant({ tenant: 'acme' }))).code).toBe('UNAVAILABLE');
      release.resolve();
      expect(await underWay).toEqual({ tenants: [], nextPageToken: '' });
    });

    test('a connection without calls does not keep the process alive', async () => {
      const module = JSON.stringify(new URL('../../src/client/create-client.ts', import.meta.url).href);
      const options = JSON.stringify({ address: server.address, channel });
      const script = `const { createClient } = await import(${module});
      console.log(await createClient(${options}).tenants.listTenants({}));`;
      const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: 'pipe' });
      const [code] = (await once(child, 'exit')) as [number | null];
      expect(code).toBe(0);
      expect(server.calls).toHaveLength(1);
    });

    function resolveRequest() {
      return { key: KEY, hashKey: '', attributes: {}, method: '' };
    }
  });
}
