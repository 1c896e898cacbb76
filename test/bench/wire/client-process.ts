import { createConnection } from 'node:net';
import { Client, credentials } from '@grpc/grpc-js';
import { WheelClock } from '../../../sidecar/front/wheel-clock.ts';
import { GrpcClient } from '../../../sidecar/wire/grpc/grpc-client.ts';
import { wireLimits } from '../../../sidecar/wire/limits.ts';
import { systemClock } from '../../../src/platform/clock.ts';

// Calls BENCH_ADDRESS with BENCH_CLIENT (grpc-js or wire), BENCH_DEPTH at a time; says what its own CPU was for each.
const address = process.env['BENCH_ADDRESS'] ?? '';
const [host = '', port = ''] = address.split(':');
const depth = Number(process.env['BENCH_DEPTH']);
const path = '/trafficmanager.v1.ResolverService/Resolve';
const message = Buffer.alloc(35, 0x61);
const call = process.env['BENCH_CLIENT'] === 'wire' ? wireCall() : grpcJsCall();

function wireCall(): () => Promise<unknown> {
  const client = new GrpcClient({
    authority: address,
    isSecure: false,
    clock: new WheelClock(systemClock),
    schedule: (run) => void setImmediate(run),
    limits: wireLimits,
    messageBytesMax: 1_000_000,
    connect: () => createConnection({ host, port: Number(port), noDelay: true }),
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
