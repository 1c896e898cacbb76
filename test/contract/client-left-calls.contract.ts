import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ChannelKind } from '../../src/client/channel.ts';
import {
  createClient,
  message,
  Route,
  type TrafficManagerClient,
  TrafficManagerError,
} from '../../src/client/index.ts';
import { SnapshotChunk, type WatchResponse } from '../../src/gen/trafficmanager/v1/watch_service.ts';
import { startFakeControlPlane, type FakeControlPlane } from '../integration/cli-fake-control-plane.ts';

/** What becomes of calls that their caller leaves, and of the others beside them. */
export function describeLeftCalls(channel: ChannelKind): void {
  describe(`calls that are left, over ${channel}`, () => {
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

    function progress(revision: bigint): WatchResponse {
      return { revision, commitId: 'c', event: { $case: 'progress', value: {} }, stalenessMs: 0n };
    }

    test('nothing comes any more after the signal, also not what had come before', async () => {
      server.watch = async (call) => {
        for (const revision of [1n, 2n, 3n]) call.write(progress(revision));
      };
      const controller = new AbortController();
      const watching = client.watch({ tenant: 'acme' }, { signal: controller.signal });
      await watching.next();
      // Long enough for the other two to be there.
      for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
      controller.abort();
      await expect(watching.next()).rejects.toMatchObject({ code: 'CANCELLED' });
    });

    test('a signal that aborts in the turn of the first call ends it', async () => {
      const released = Promise.withResolvers<void>();
      server.watch = async (call) => {
        call.write(progress(1n));
        await released.promise;
        call.end();
      };
      const controller = new AbortController();
      const watching = client.watch({ tenant: 'acme' }, { signal: controller.signal });
      const all = (async () => {
        for await (const { revision } of watching) if (revision === 1n) released.resolve();
      })();
      controller.abort();
      await expect(all).rejects.toSatisfy(
        (error) => error instanceof TrafficManagerError && error.code === 'CANCELLED',
      );
    });

    test('a call goes on when the reader of a stream of many small messages leaves it', async () => {
      const MESSAGES = 5_000;
      server.watch = async (call) => {
        for (let sent = 0; sent < MESSAGES && !call.cancelled; sent++) call.write(progress(1n));
        call.end();
      };
      const release = Promise.withResolvers<void>();
      server.intercept = ({ method }) => (method === 'ListTenants' ? release.promise : undefined);
      const underWay = client.tenants.listTenants({}, { timeoutMs: 60_000 });
      for await (const { revision } of client.watch({ tenant: 'acme' })) if (revision === 1n) break;
      await client.routes.listRoutes({ tenant: 'acme' }, { timeoutMs: 60_000 }).catch(() => undefined);
      release.resolve();
      expect(await underWay).toEqual({ tenants: [], nextPageToken: '' });
    });

    test('100 streams that nobody reads on from hold no other call up', async () => {
      const value = {
        ...SnapshotChunk.decode(new Uint8Array()),
        routes: [message(Route, { etag: 'x'.repeat(64_000) })],
      };
      server.watch = async (call) => {
        for (let sent = 0; sent < 10; sent++) call.write({ ...progress(1n), event: { $case: 'snapshotChunk', value } });
      };
      const left = new AbortController();
      const watches = Array.from({ length: 100 }, () => client.watch({ tenant: 'acme' }, { signal: left.signal }));
      await Promise.all(watches.map((watch) => watch.next()));
      expect(await client.tenants.listTenants({})).toEqual({ tenants: [], nextPageToken: '' });
      left.abort();
    });
  });
}
