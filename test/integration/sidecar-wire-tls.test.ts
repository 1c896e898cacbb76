import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { createConnection, type Socket } from 'node:net';
import { connect, type ConnectionOptions, type TLSSocket, type TlsOptions } from 'node:tls';
import { afterEach, expect, it } from 'vitest';
import { WheelClock } from '../../sidecar/front/wheel-clock.ts';
import { GrpcClient } from '../../sidecar/wire/grpc/grpc-client.ts';
import { wireLimits } from '../../sidecar/wire/limits.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { startTestServer, testMethods } from '../support/sidecar-wire/test-server.ts';

// A key that both sides know: TLS without certificates, which nobody has to make or renew for a test.
const psk = Buffer.alloc(32, 7);
const serverTls: TlsOptions = { pskCallback: () => psk, ciphers: 'PSK-AES256-GCM-SHA384', maxVersion: 'TLSv1.2' };
const clientTls: ConnectionOptions = {
  pskCallback: () => ({ psk, identity: 'test' }),
  ciphers: 'PSK-AES256-GCM-SHA384',
  checkServerIdentity: () => undefined,
  host: '127.0.0.1',
};

let owned = new AsyncDisposableStack();
afterEach(async () => {
  await owned.disposeAsync();
  owned = new AsyncDisposableStack();
});

async function start(): Promise<{ port: number; dial: (protocols: string[]) => TLSSocket }> {
  const { port } = owned.use(await startTestServer({ methods: testMethods(), tls: serverTls }));
  return { port, dial: (ALPNProtocols) => connect({ ...clientTls, port, ALPNProtocols }) };
}

it('carries calls of the light client over TLS, 1 byte to 16 MiB, and many at a time', async () => {
  const { dial } = await start();
  const clock = owned.use(new WheelClock(systemClock));
  const client = owned.use(
    new GrpcClient({
      authority: 'localhost',
      isSecure: true,
      clock,
      schedule: (run) => void setImmediate(run),
      limits: wireLimits,
      messageBytesMax: 64 * 1_048_576,
      connect: () => dial(['h2']),
    }),
  );
  for (const bytes of [1, 100_000, 16 * 1_048_576]) {
    const message = Buffer.alloc(bytes, 0x61);
    expect((await client.unary('/test.Echo/Unary', message)).equals(message)).toBe(true);
  }
  // Each with its own bytes: a buffer that was used again too early would show.
  const texts = Array.from({ length: 1_000 }, (_none, index) => `${index}`.repeat(50));
  const answers = await Promise.all(texts.map((text) => client.unary('/test.Echo/Unary', Buffer.from(text))));
  expect(answers.map(String)).toEqual(texts);
});

it('speaks with node:http2 over TLS', async () => {
  const { dial } = await start();
  const session = connectHttp2('https://localhost', { createConnection: () => dial(['h2']) });
  const stream = session.request({
    ':method': 'POST',
    ':path': '/test.Echo/Unary',
    'content-type': 'application/grpc',
  });
  const trailers = once(stream, 'trailers');
  stream.end(Buffer.from([0, 0, 0, 0, 2, 0x68, 0x69]));
  stream.resume();
  expect((await trailers)[0]).toMatchObject({ 'grpc-status': '0' });
  session.close();
  await once(session, 'close');
});

it('closes a connection that did not choose HTTP/2', async () => {
  const { port } = await start();
  const socket = connect({ ...clientTls, port });
  await closeOf(socket);
  expect(socket.alpnProtocol).not.toBe('h2');
});

it('closes a connection that speaks no TLS', async () => {
  const { port } = await start();
  const socket = createConnection({ host: '127.0.0.1', port });
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  await closeOf(socket);
  expect(socket.destroyed).toBe(true);
});

/** However it comes about. */
function closeOf(socket: Socket): Promise<void> {
  socket.on('error', () => {});
  return new Promise((resolve) => {
    socket.on('close', () => resolve());
  });
}
