import { once } from 'node:events';
import { createConnection } from 'node:net';
import { Client, credentials } from '@grpc/grpc-js';
import { clientPreface, frameFlags, frameHeaderBytes, frameTypes } from '../../../sidecar/wire/frame.ts';
import { WheelClock } from '../../../sidecar/front/wheel-clock.ts';
import { GrpcClient } from '../../../sidecar/wire/grpc/grpc-client.ts';
import { wireLimits } from '../../../sidecar/wire/limits.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { connectInPlace } from '../../../src/platform/connect-in-place.ts';
import { afterCallers, afterSockets } from '../../../src/platform/turns.ts';
import { connectionTo } from '../connection-to.ts';
import { frame, plainBlock, uint32 } from '../../support/sidecar-wire/frames.ts';

// Calls BENCH_ADDRESS with BENCH_CLIENT (grpc-js, wire or socket), BENCH_DEPTH at a time; says what its own CPU was for each.
const address = process.env['BENCH_ADDRESS'] ?? '';
const to = connectionTo(address);
/** What a call says of the server; the path of a socket is no authority. */
const authority = 'path' in to ? 'localhost' : address;
const depth = Number(process.env['BENCH_DEPTH']);
const path = '/trafficmanager.v1.ResolverService/Resolve';
const message = Buffer.alloc(35, 0x61);
const calls = { 'grpc-js': grpcJsCall, wire: wireCall, socket: socketCall };
const call = calls[process.env['BENCH_CLIENT'] as keyof typeof calls]();

function wireCall(): () => Promise<unknown> {
  const client = new GrpcClient({
    authority,
    isSecure: false,
    clock: new WheelClock(systemClock),
    schedule: afterSockets,
    scheduleSoon: afterCallers,
    limits: wireLimits,
    messageBytesMax: 1_000_000,
    connect: () => connectInPlace({ ...to, noDelay: true }),
  });
  return () => client.unary(path, message, { timeoutMs: 10_000 });
}

function grpcJsCall(): () => Promise<unknown> {
  const client = new Client(address, credentials.createInsecure());
  const same = (bytes: Buffer): Buffer => bytes;
  return () =>
    new Promise((resolve, reject) =>
      client.makeUnaryRequest(path, same, same, message, { deadline: Date.now() + 10_000 }, (error, answer) =>
        error === null ? resolve(answer) : reject(error),
      ),
    );
}

/** No client at all: the bytes of a call into a socket, and whatever comes back until a stream ends. One at a time. */
function socketCall(): () => Promise<unknown> {
  const socket = createConnection({ ...to, noDelay: true });
  // The engine says all of an answer in one write.
  socket.on('data', (chunk: Buffer) => {
    if (endsStream(chunk)) answered?.();
  });
  const windowIncrement = 2 ** 31 - 2 ** 16;
  const opened = once(socket, 'connect').then(() =>
    socket.write(
      Buffer.concat([
        clientPreface,
        frame(frameTypes.SETTINGS, 0, 0),
        frame(frameTypes.SETTINGS, frameFlags.ACK, 0),
        frame(frameTypes.WINDOW_UPDATE, 0, 0, uint32(windowIncrement)),
      ]),
    ),
  );
  const block = plainBlock([
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', path],
    [':authority', authority],
    ['te', 'trailers'],
    ['content-type', 'application/grpc+proto'],
  ]);
  const headers = frame(frameTypes.HEADERS, frameFlags.END_HEADERS, 1, block);
  const body = Buffer.concat([Buffer.from([0]), uint32(message.length), message]);
  const bytes = Buffer.concat([headers, frame(frameTypes.DATA, frameFlags.END_STREAM, 1, body)]);
  const idBytes = 4;
  let id = 1;
  let answered: (() => void) | undefined;
  return async () => {
    await opened;
    bytes.writeUInt32BE(id, frameHeaderBytes - idBytes);
    bytes.writeUInt32BE(id, headers.length + frameHeaderBytes - idBytes);
    id += 2;
    await new Promise<void>((resolve) => {
      answered = resolve;
      socket.write(bytes);
    });
  };
}

function endsStream(chunk: Buffer): boolean {
  for (let at = 0; at + frameHeaderBytes <= chunk.length; at += frameHeaderBytes + chunk.readUIntBE(at, 3))
    if (chunk[at + 3] === frameTypes.HEADERS && ((chunk[at + 4] ?? 0) & frameFlags.END_STREAM) !== 0) return true;
  return false;
}

async function loop(endMs: number): Promise<number> {
  let calls = 0;
  for (; performance.now() < endMs; calls++) await call();
  return calls;
}

async function measure(seconds: number): Promise<{ calls: number; cpuUs: number }> {
  const before = process.cpuUsage();
  const endMs = performance.now() + seconds * 1_000;
  const calls = (await Promise.all(Array.from({ length: depth }, () => loop(endMs)))).reduce((sum, each) => sum + each);
  const { user, system } = process.cpuUsage(before);
  return { calls, cpuUs: (user + system) / calls };
}

process.send?.({ address });
process.once('disconnect', () => process.exit(0));
process.on('message', (seconds) => {
  void measure(1)
    .then(() => measure(Number(seconds)))
    .then((figures) => process.send?.(figures));
});
