import { once } from 'node:events';
import { type ClientHttp2Session, connect } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createGrpcServer, type GrpcServerBounds } from '../../src/platform/grpc/server.ts';
import { makeSocketDirectory } from '../support/sidecar.ts';

const bounds: GrpcServerBounds = {
  connectionsMax: 6,
  streams: { streamsMax: 100, perConnectionMax: 40, perConnectionMin: 5 },
};

let started: AsyncDisposableStack;
beforeEach(() => {
  started = new AsyncDisposableStack();
});
afterEach(async () => await started.disposeAsync());

/** A connection, and the streams that it was allowed, one after the other. */
function open(address: string): { session: ClientHttp2Session; shares: (number | undefined)[] } {
  const session = started.adopt(connect(`http://${address}`), (each) => each.destroy());
  const shares: (number | undefined)[] = [];
  session.on('remoteSettings', ({ maxConcurrentStreams }) => shares.push(maxConcurrentStreams));
  return { session, shares };
}

test('connections begin with the smallest share of the streams, and have a larger one the fewer they are', async () => {
  const server = started.use(createGrpcServer({ drainMs: 0, bounds }));
  const address = await server.listen('127.0.0.1:0');
  const first = open(address);
  await expect.poll(() => first.shares).toEqual([5, 40]);
  const others = Array.from({ length: 4 }, () => open(address));
  // 5 of them share as 8 would.
  for (const { shares } of others) await expect.poll(() => shares.at(-1)).toBe(12);
  await expect.poll(() => first.shares.at(-1)).toBe(12);
  for (const { session } of others) session.close();
  await expect.poll(() => first.shares.at(-1)).toBe(40);
});

test('a connection too many is closed, at each address for itself, and there is room again when one has gone', async () => {
  const server = started.use(createGrpcServer({ drainMs: 0, bounds }));
  const { path } = started.use(await makeSocketDirectory());
  const address = await server.listen('127.0.0.1:0');
  await server.listen(`unix:${path}/sidecar.sock`);
  const taken = Array.from({ length: bounds.connectionsMax }, () => open(address));
  for (const { shares } of taken) await expect.poll(() => shares.length).toBeGreaterThan(0);
  const port = Number(address.split(':')[1]);
  const tooMany = connectSocket({ host: '127.0.0.1', port }).on('error', () => {});
  await once(tooMany, 'close');
  const elsewhere = started.adopt(connectSocket(`${path}/sidecar.sock`), (each) => void each.destroy());
  await once(elsewhere, 'data');
  const [gone] = taken;
  gone?.session.destroy();
  await expect.poll(() => served(port)).toBe(true);
});

/** Whether a connection is greeted with SETTINGS. */
async function served(port: number): Promise<boolean> {
  const socket = connectSocket({ host: '127.0.0.1', port }).on('error', () => {});
  const greeted = await new Promise<boolean>((resolve) => {
    socket.once('data', () => resolve(true));
    socket.once('close', () => resolve(false));
  });
  socket.destroy();
  return greeted;
}
