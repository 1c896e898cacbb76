import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { connectInPlace } from '../../../src/platform/connect-in-place.ts';

let server: Server;
let peer: Socket;
let socket: Socket;

beforeEach(async () => {
  server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  socket = connectInPlace({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
  [peer] = (await accepted) as [Socket];
});

afterEach(() => {
  socket.destroy();
  peer.destroy();
  server.close();
});

it('reads all that comes, in order, and tells of the end', async () => {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => void chunks.push(Buffer.from(chunk)));
  const sent = Buffer.from(Uint8Array.from({ length: 1_000_000 }, (_none, index) => index % 251));
  peer.end(sent);
  await once(socket, 'end');
  expect(Buffer.concat(chunks).equals(sent)).toBe(true);
});

it('reads into the same buffer every time', async () => {
  const buffers = new Set<ArrayBufferLike>();
  for (let reads = 0; reads < 3; reads++) {
    peer.write('a');
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    buffers.add(chunk.buffer);
  }
  expect(buffers.size).toBe(1);
});

it('reads nothing while it is paused, and the rest afterwards', async () => {
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    socket.pause();
  });
  // More than sockets of the kernel hold: it goes out only as fast as it is read.
  const sent = Buffer.alloc(16 * 1024 * 1024);
  const written = new Promise((resolve) => peer.write(sent, resolve));
  await once(socket, 'data');
  for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate);
  expect(bytes).toBeLessThanOrEqual(64 * 1024);
  socket.removeAllListeners('data').on('data', (chunk: Buffer) => (bytes += chunk.length));
  socket.resume();
  await written;
  peer.end();
  await once(socket, 'end');
  expect(bytes).toBe(sent.length);
});
