import { readFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { WheelClock } from '../../../sidecar/front/wheel-clock.ts';
import { GrpcClient } from '../../../sidecar/wire/grpc/grpc-client.ts';
import { wireLimits } from '../../../sidecar/wire/limits.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import type { BenchOptions } from '../bench-options.ts';
import { percentile, printTable } from '../report.ts';
import { spawnServer } from '../spawn-server.ts';
import { attacks } from './attacks.ts';

const pauseMs = 10;

/** Each attack for a while, from another process, beside a client that behaves. */
export async function benchAttacks({ seconds }: BenchOptions): Promise<void> {
  const rows: (string | number)[][] = [];
  for (const name of ['none', ...attacks.map((attack) => attack.name)]) {
    await using started = new AsyncDisposableStack();
    const server = started.use(await spawnServer('test/bench/wire/echo-server.ts', {}));
    const variables = { BENCH_ATTACK: name, BENCH_ADDRESS: server.address };
    const attacker =
      name === 'none' ? undefined : started.use(await spawnServer('test/bench/wire/attacker.ts', variables, 1));
    const latenciesMs = await behave(server.address, AbortSignal.timeout(seconds * 1_000));
    const codes = Object.entries(((await attacker?.ask('codes')) ?? {}) as Record<string, number>);
    const ended = codes.map(([code, count]) => `${code} x${count}`).join(', ') || '-';
    const [p50, p99] = [percentile(latenciesMs, 0.5), percentile(latenciesMs, 0.99)];
    rows.push([name, ended, latenciesMs.length, p50, p99, peakMiB(server.pid)]);
  }
  printTable(['attack', 'connections ended by', 'calls', 'p50 ms', 'p99 ms', 'peak RSS MiB'], rows);
}

/** Up to a hundred calls a second of a client on a connection of its own; how long each took. Every one must be answered. */
async function behave(address: string, end: AbortSignal): Promise<number[]> {
  using clock = new WheelClock(systemClock);
  const [host = '', port = ''] = address.split(':');
  using client = new GrpcClient({
    authority: address,
    isSecure: false,
    clock,
    schedule: (run) => void setImmediate(run),
    limits: wireLimits,
    messageBytesMax: 1_000_000,
    connect: () => createConnection({ host, port: Number(port), noDelay: true }),
  });
  const latenciesMs: number[] = [];
  while (!end.aborted) {
    const startMs = performance.now();
    await client.unary('/test.Echo/Unary', Buffer.alloc(100), { timeoutMs: 10_000 });
    latenciesMs.push(performance.now() - startMs);
    await systemClock.sleep(pauseMs);
  }
  return latenciesMs;
}

/** The most memory that a process ever had. */
function peakMiB(pid: number): number {
  const line = readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmHWM:\s+(\d+) kB/);
  return Number(line?.[1] ?? Number.NaN) / 1_024;
}
