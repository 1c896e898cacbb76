import { once } from 'node:events';
import { connect as connectHttp2, constants, type ClientHttp2Session } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { FrontCaller, framesOf, type SpokenCall } from '../support/sidecar-wire/front-caller.ts';
import { messageOf, pseudoOf, usualFields } from '../support/sidecar-wire/spoken-calls.ts';
import { startTestServer, testMethods } from '../support/sidecar-wire/test-server.ts';

let owned = new AsyncDisposableStack();
afterEach(async () => {
  await owned.disposeAsync();
  owned = new AsyncDisposableStack();
});

async function connected(port: number): Promise<ClientHttp2Session> {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  session.on('error', () => {});
  owned.defer(() => session.destroy());
  await once(session, 'remoteSettings');
  return session;
}

/** A client that reads, says nothing, and does not go. */
function stubborn(port: number): Socket {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  socket.on('error', () => {});
  owned.defer(() => void socket.destroy());
  return socket.resume();
}

/** Whether a new connection is told why it has to go. */
async function isTold(port: number): Promise<boolean> {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  session.on('error', () => {});
  let told = false;
  session.on('goaway', () => (told = true));
  await new Promise((resolve) => session.on('close', resolve));
  return told;
}

it('tells the newest connection to go away when it has as many as it takes, and takes one again when one has gone', async () => {
  const { port, server } = owned.use(
    await startTestServer({ methods: testMethods(), limits: { connectionsTakenMax: 2 } }),
  );
  const first = await connected(port);
  await connected(port);
  const third = connectHttp2(`http://127.0.0.1:${port}`);
  third.on('error', () => {});
  owned.defer(() => third.destroy());
  const [code, lastStreamId, reason] = (await once(third, 'goaway')) as [number, number, Buffer];
  expect([code, lastStreamId]).toEqual([constants.NGHTTP2_ENHANCE_YOUR_CALM, 0]);
  expect(String(reason)).toBe('the server has as many connections as it takes');
  expect([server.connectionCount, server.refusedCount]).toEqual([2, 1]);
  first.destroy();
  await expect.poll(() => server.connectionCount).toBe(1);
  await connected(port);
  expect([server.connectionCount, server.refusedCount]).toEqual([2, 1]);
});

it('closes those that do not go, and those of a crowd without a word', async () => {
  const { port, server } = owned.use(
    await startTestServer({
      methods: testMethods(),
      limits: { connectionsTakenMax: 1, connectionsRefusedMax: 2, goAwayMs: 3_000 },
    }),
  );
  await connected(port);
  const crowd = [stubborn(port), stubborn(port)];
  await expect.poll(() => server.refusedCount).toBe(2);
  expect(await isTold(port)).toBe(false);
  await expect.poll(() => isTold(port), { timeout: 20_000 }).toBe(true);
  expect(crowd.some(({ destroyed }) => destroyed)).toBe(false);
  expect(server.connectionCount).toBe(1);
});

it('answers the calls of a client while others hold open as many streams as memory allows', async () => {
  const limits = { heldBytesMaxOfAll: 70 * 1_024 };
  const { port } = owned.use(await startTestServer({ methods: testMethods(), limits }));
  const never: SpokenCall = { fields: [...pseudoOf('/test.Echo/Never'), ...usualFields], body: [], end: 'empty_data' };
  const unary: SpokenCall = {
    ...never,
    fields: [...pseudoOf('/test.Echo/Unary'), ...usualFields],
    body: [messageOf('hi')],
  };
  const ids = Array.from({ length: 200 }, (_none, index) => index * 2 + 1);
  for (let client = 0; client < 3; client++) {
    const greedy = owned.use(await FrontCaller.open(`127.0.0.1:${port}`));
    await greedy.write([Buffer.concat(ids.flatMap((id) => framesOf(id, never).slice(0, 1)))]);
    expect((await greedy.heard(399)).reset).toBe('REFUSED_STREAM');
  }
  const modest = owned.use(await FrontCaller.open(`127.0.0.1:${port}`));
  for (const id of ids) {
    await modest.write(framesOf(id, unary));
    expect((await modest.heard(id)).lists.at(-1)?.['grpc-status']).toBe('0');
  }
});
