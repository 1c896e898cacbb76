import { connect, constants, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import { status } from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { createFront } from '../../sidecar/front/create-front.ts';
import { frontKinds, type FrontKind } from '../../sidecar/front/front.ts';
import { createClient, TrafficManagerError, type TrafficManagerClient } from '../../src/client/index.ts';
import { WatchRequest, WatchServiceService } from '../../src/gen/trafficmanager/v1/watch_service.ts';
import { systemClock as clock } from '../../src/platform/clock.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { afterSockets } from '../../src/platform/turns.ts';
import { serviceOptions } from '../../src/serving/service-options.ts';
import { watchHandlers } from '../../src/serving/watch-service.ts';
import { FakeWatchedTenant, type FakeWrite } from '../fakes/fake-watched-tenant.ts';
import { decodeHttp2Status } from '../support/http2-status.ts';

const owned: (() => PromiseLike<void> | void)[] = [];
afterEach(async () => {
  for (const release of owned.splice(0).toReversed()) await release();
});

type Server = { readonly address: string; readonly tenant: FakeWatchedTenant; readonly client: TrafficManagerClient };

/** Watch over real gRPC, of a tenant that the test writes. */
async function serve(
  kind: FrontKind,
  options: { stallMsMax?: number; statusLingerMs?: number; watchersMax?: number } = {},
): Promise<Server> {
  const { stallMsMax = 30_000, statusLingerMs = 30_000, watchersMax = 10_000 } = options;
  const bounds = { changesMax: 10_000, bytesMax: 64 * 1024 * 1024 };
  const tenant = new FakeWatchedTenant('acme', { bounds, monotonicMs: () => clock.monotonicMs() });
  const front = await createFront({ kind, drainMs: 1_000, clock, schedule: afterSockets });
  const handlers = watchHandlers({
    source: {
      open: async () => tenant,
      find: async () => tenant,
      older: async (_tenant, from, limit) => tenant.older(from, limit),
    },
    clock,
    schedule: afterSockets,
    stallMsMax,
    watchersMax,
    watchersMaxOf: () => watchersMax,
  });
  const logger = createLogger('test', 'silent');
  front.serve(WatchServiceService, handlers, serviceOptions({ logger, draining: front.draining, statusLingerMs }));
  const address = await front.listen('127.0.0.1:0');
  owned.push(() => front[Symbol.asyncDispose]());
  const client = createClient({ address });
  owned.push(() => client.close());
  return { address, tenant, client };
}

function route(version: string, large = false): FakeWrite {
  return { kind: 'route', service: 'cart', version, url: `grpc://${large ? 'x'.repeat(60_000) : version}:1` };
}

/** A client of HTTP/2 that reads nothing of its stream until it is told to. */
function openUnread(address: string): { session: ClientHttp2Session; stream: ClientHttp2Stream } {
  const session = connect(`http://${address}`);
  owned.push(() => session.destroy());
  const stream = session.request({
    ':method': 'POST',
    ':path': WatchServiceService.watch.path,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  const request = WatchRequest.encode({ ...WatchRequest.decode(new Uint8Array()), tenant: 'acme' }).finish();
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(request.length, 1);
  stream.end(Buffer.concat([prefix, request]));
  return { session, stream };
}

describe.each(frontKinds)('over %s,', (kind) => {
  describe('a watch over gRPC', () => {
    test('carries what many watchers share to each of them', async () => {
      const { tenant, client } = await serve(kind);
      tenant.commit(route('v0'));
      const watch = async (): Promise<bigint[]> => {
        const revisions: bigint[] = [];
        for await (const { event, revision } of client.watch({ tenant: 'acme' })) {
          if (event?.$case === 'changeBatch') revisions.push(...event.value.changes.map((change) => change.revision));
          if (event?.$case === 'snapshotChunk' && event.value.last) joined();
          if (revision === 101n) break;
        }
        return revisions;
      };
      let waiting = 100;
      let joined = (): void => {};
      const everybody = new Promise<void>((resolve) => {
        joined = () => {
          if (--waiting === 0) resolve();
        };
      });
      const watches = Array.from({ length: 100 }, watch);
      await everybody;
      for (let index = 1; index <= 100; index++) tenant.commit(route(`v${index}`, index % 10 === 0));
      const wanted = Array.from({ length: 100 }, (_, index) => BigInt(index + 2));
      for (const revisions of await Promise.all(watches)) expect(revisions).toEqual(wanted);
    });

    test('sends response headers at once, though there is nothing to say', async () => {
      const { address } = await serve(kind);
      const { stream } = openUnread(address);
      const headers = await new Promise<Record<string, unknown>>((resolve) => stream.on('response', resolve));
      expect(headers).toMatchObject({ ':status': 200, 'content-type': 'application/grpc+proto' });
    });

    test('frees everything of a watcher whose client goes away', async () => {
      const { tenant, client } = await serve(kind);
      tenant.commit(route('v1'));
      for await (const { event } of client.watch({ tenant: 'acme' })) {
        if (event?.$case !== 'snapshotChunk' || !event.value.last) continue;
        expect(tenant.listeners).toBe(1);
        break;
      }
      await tenant.unwatched();
      expect(tenant.listeners).toBe(0);
    });

    test('refuses a watcher too many with the time to come back', async () => {
      const { tenant, client } = await serve(kind, { watchersMax: 0 });
      tenant.commit(route('v1'));
      const refused: unknown = await client
        .watch({ tenant: 'acme' })
        .next()
        .then(
          () => undefined,
          (error: unknown) => error,
        );
      expect(refused).toBeInstanceOf(TrafficManagerError);
      expect(refused).toMatchObject({ code: 'RESOURCE_EXHAUSTED', reason: 'WATCHER_LIMIT', retryDelayMs: 5_000 });
    });
  });

  describe('a watcher that does not read', () => {
    test('is told where to resume, once it reads on', async () => {
      const { address, tenant } = await serve(kind, { stallMsMax: 100 });
      for (let index = 0; index < 20; index++) tenant.commit(route(`v${index}`, true));
      const { stream } = openUnread(address);
      await tenant.unwatched({ after: 1 });
      // It has been cut off and forgotten; what it did not read, and the status behind it, wait in the transport.
      const trailers = new Promise<Record<string, unknown>>((resolve) => stream.on('trailers', resolve));
      stream.resume();
      const { code, errorInfo } = decodeHttp2Status(await trailers);
      expect(code).toBe(status.RESOURCE_EXHAUSTED);
      // It was still in its snapshot.
      expect(errorInfo).toEqual({
        reason: 'WATCHER_TOO_SLOW',
        domain: 'trafficmanager.v1',
        metadata: { tenant: 'acme' },
      });
    });

    test('that never reads on has its stream reset, so that nothing of it stays', async () => {
      const { address, tenant } = await serve(kind, { stallMsMax: 100, statusLingerMs: 100 });
      for (let index = 0; index < 20; index++) tenant.commit(route(`v${index}`, true));
      const { stream } = openUnread(address);
      await new Promise<void>((resolve) => {
        stream.on('error', () => {});
        stream.on('close', resolve);
      });
      expect(stream.rstCode).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      expect(tenant.listeners).toBe(0);
    });

    test('does not keep its neighbours on the same connection from theirs', async () => {
      const { address, tenant, client } = await serve(kind);
      for (let index = 0; index < 20; index++) tenant.commit(route(`v${index}`, true));
      const { session } = openUnread(address);
      const neighbour = session.request({
        ':method': 'POST',
        ':path': WatchServiceService.watch.path,
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      const request = WatchRequest.encode({ ...WatchRequest.decode(new Uint8Array()), tenant: 'acme' }).finish();
      neighbour.end(Buffer.concat([Buffer.from([0, 0, 0, 0, request.length]), request]));
      let bytes = 0;
      await new Promise<void>((resolve) => {
        neighbour.on('data', (data: Buffer) => {
          bytes += data.length;
          // All of the snapshot: 20 routes of 60 KB.
          if (bytes > 20 * 60_000) resolve();
        });
      });
      const first = await client.watch({ tenant: 'acme' }).next();
      expect(first.done).toBe(false);
    });
  });

  test('a server that shuts down ends its watches with UNAVAILABLE', async () => {
    const { tenant, client } = await serve(kind);
    tenant.commit(route('v1'));
    const messages = client.watch({ tenant: 'acme' });
    await messages.next();
    await messages.next();
    const ending = messages.next().then(
      () => undefined,
      (error: unknown) => error,
    );
    // The server is the first that was owned.
    await owned.shift()?.();
    expect(await ending).toMatchObject({ code: 'UNAVAILABLE', reason: 'SHUTTING_DOWN' });
  });
});
