import { readFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { sidecarRuntime } from '../../../deploy/embedded/sidecar-runtime.ts';
import { WheelClock } from '../../../sidecar/front/wheel-clock.ts';
import { GrpcClient } from '../../../sidecar/wire/grpc/grpc-client.ts';
import { streamBytes, wireLimits } from '../../../sidecar/wire/limits.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import type { BenchOptions } from '../bench-options.ts';
import { percentile, printTable } from '../report.ts';
import { spawnServer } from '../spawn-server.ts';
import { attackerConnections, attacks, type Attack } from './attacks.ts';

const pauseMs = 10;
/** Both cores are full of the attack, and of whatever else runs there: the client waits for its turn, but it gets it. */
const p99MsMax = 2_000;
const mebibyte = 1_048_576;

type Run = {
  readonly name: string;
  readonly attack: Attack | undefined;
  /** How often the attacker's connections were ended by what. */
  readonly codes: Readonly<Record<string, number>>;
  readonly latenciesMs: readonly number[];
  readonly peakMiB: number;
};

/** Each attack on a server that runs as sidecars do, for a while, from another process, beside a client that behaves. Fails where an attacker gets what it wants. */
export async function benchAttacks({ seconds }: BenchOptions): Promise<void> {
  const runs: Run[] = [await run(undefined, seconds)];
  for (const attack of attacks) runs.push(await run(attack, seconds));
  const peakMiBMax = (runs[0]?.peakMiB ?? 0) + (garbageFactor * heldBytesMax()) / mebibyte;
  const rows = runs.map((each) => {
    const ended = Object.entries(each.codes).map(([code, count]) => `${code} x${count}`);
    const [p50, p99] = [percentile(each.latenciesMs, 0.5), percentile(each.latenciesMs, 0.99)];
    const problems = problemsOf(each, { seconds, peakMiBMax });
    const held = each.attack === undefined || isLongEnough(each.attack, seconds) ? 'held' : 'held so far';
    const verdict = problems.length === 0 ? held : problems.join('; ');
    return [each.name, ended.join(', ') || '-', each.latenciesMs.length, p50, p99, each.peakMiB, verdict];
  });
  printTable(['attack', 'connections ended by', 'calls', 'p50 ms', 'p99 ms', 'peak RSS MiB', 'verdict'], rows);
  console.log(`memory may be ${Math.round(peakMiBMax)} MiB: see heldBytesMax in bench-attacks.ts`);
  const lost = runs.filter((each) => problemsOf(each, { seconds, peakMiBMax }).length > 0);
  if (lost.length > 0) throw new Error(`${lost.length} attacks of ${attacks.length} are not held`);
}

async function run(attack: Attack | undefined, seconds: number): Promise<Run> {
  await using started = new AsyncDisposableStack();
  const server = started.use(await spawnServer('test/bench/wire/echo-server.ts', sidecarRuntime));
  const variables = { BENCH_ATTACK: attack?.name ?? '', BENCH_ADDRESS: server.address };
  const attacker =
    attack === undefined ? undefined : started.use(await spawnServer('test/bench/wire/attacker.ts', variables, 1));
  const latenciesMs = await behave(server.address, AbortSignal.timeout(seconds * 1_000));
  const codes = ((await attacker?.ask('codes')) ?? {}) as Record<string, number>;
  return { name: attack?.name ?? 'none', attack, codes, latenciesMs, peakMiB: peakMiB(server.pid) };
}

/** Whether an attack had the time after which its connections must have been ended. */
function isLongEnough({ endsAfterMs }: Attack, seconds: number): boolean {
  return seconds * 1_000 >= endsAfterMs;
}

/** Why an attack was not held. */
function problemsOf(
  { attack, codes, latenciesMs, peakMiB: peak }: Run,
  { seconds, peakMiBMax }: { readonly seconds: number; readonly peakMiBMax: number },
): string[] {
  const problems: string[] = [];
  if (peak > peakMiBMax) problems.push('takes too much memory');
  if (percentile(latenciesMs, 0.99) > p99MsMax) problems.push('holds up another client');
  if (attack === undefined) return problems;
  if (codes[attack.endedBy] === undefined && !isLongEnough(attack, seconds)) return problems;
  if (codes[attack.endedBy] === undefined) problems.push(`is not ended by ${attack.endedBy}`);
  // Who still writes when it is ended may lose the GOAWAY that says why.
  const others = Object.keys(codes).filter((code) => code !== attack.endedBy && code !== 'closed');
  if (others.length > 0) problems.push(`is ended by ${others.join(', ')}`);
  return problems;
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

/** What may be garbage, beside what is held, before V8 collects it: it lets a heap grow to some times of what it held before. */
const garbageFactor = 3;

/** What the limits let a server hold for the attacker: a second's worth of connections may still be about to close, and hold no streams. */
function heldBytesMax(): number {
  const limits = wireLimits;
  const perConnection =
    limits.connectionWindowBytes +
    2 * limits.backlogBytesMax +
    limits.headerBlockBytesMax +
    limits.headerListBytesMax +
    2 * limits.headerTableBytes +
    limits.streamsMax * streamBytes +
    limits.ownBytes;
  return limits.heldBytesMaxOfAll + attackerConnections * perConnection;
}
