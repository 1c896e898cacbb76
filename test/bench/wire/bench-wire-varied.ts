import type { BenchOptions } from '../bench-options.ts';
import { median, printTable } from '../report.ts';
import { spawnServer, type BenchServer } from '../spawn-server.ts';
import { startWireServers } from './wire-servers.ts';

type Load = {
  readonly name: string;
  readonly server: string;
  readonly method: 'Resolve' | 'StreamResolve';
  readonly connections: number;
  /** Calls, or messages of a stream, in flight on each connection. */
  readonly streams: number;
  readonly lookups: number;
  /** At least so many times of what the first load comes to. */
  readonly goal?: number;
};

type Figures = { readonly perSecond: number; readonly cpuUs: number; readonly p50Ms: number; readonly p99Ms: number };

const unary = { method: 'Resolve', connections: 4, streams: 32, lookups: 1 } as const;
const stream = { method: 'StreamResolve', connections: 1, streams: 32 } as const;
const loads: readonly Load[] = [
  { name: 'Resolve, 4 x 32', server: 'grpc-js, a constant', ...unary },
  { name: 'Resolve, 4 x 32', server: 'engine, a constant', ...unary },
  { name: 'Resolve, 4 x 32', server: 'front, a constant', ...unary },
  { name: 'Resolve, 4 x 32', server: 'nginx, a constant', ...unary },
  { name: 'Resolve, 4 x 32', server: 'sidecar on grpc-js', ...unary },
  { name: 'Resolve, 4 x 32', server: 'sidecar on wire', ...unary, goal: 10 },
  { name: 'StreamResolve of 1', server: 'sidecar on grpc-js', ...stream, lookups: 1 },
  { name: 'StreamResolve of 16', server: 'sidecar on grpc-js', ...stream, lookups: 16 },
  { name: 'StreamResolve of 1', server: 'front, a constant', ...stream, lookups: 1 },
  { name: 'StreamResolve of 1', server: 'sidecar on wire', ...stream, lookups: 1, goal: 12 },
  { name: 'StreamResolve of 16', server: 'sidecar on wire', ...stream, lookups: 16, goal: 18 },
];

/** Keys and metadata that differ from call to call; single lookups, and streams of them, by what each costs the server. */
export async function benchWireVaried(options: BenchOptions): Promise<void> {
  await using started = new AsyncDisposableStack();
  const servers = await startWireServers(started, options.routes);
  // All of a sidecar but its lookups.
  servers.set('front, a constant', started.use(await spawnServer('test/bench/wire/front-server.ts', {})));
  const here = loads.filter(({ server }) => servers.has(server));
  const figures = here.map(() => [] as Figures[]);
  for (let round = 0; round < options.rounds; round++)
    for (const [index, load] of here.entries())
      figures[index]?.push(await apply(load, servers.get(load.server)!, options));
  const of = (index: number, figure: keyof Figures): number =>
    median((figures[index] ?? []).map((each) => each[figure]));
  printTable(
    ['load', 'server', 'lookups/s', 'p50 ms', 'p99 ms', 'CPU us/lookup', 'CPU of the first / this', 'goal'],
    here.map(({ name, server, goal }, index) => [
      name,
      server,
      of(index, 'perSecond'),
      of(index, 'p50Ms'),
      of(index, 'p99Ms'),
      of(index, 'cpuUs'),
      of(0, 'cpuUs') / of(index, 'cpuUs'),
      goal ?? '-',
    ]),
  );
}

async function apply(load: Load, server: BenchServer, { seconds, routes }: BenchOptions): Promise<Figures> {
  await using generator = await spawnServer(
    'test/bench/wire/varied-load.ts',
    {
      BENCH_ADDRESS: server.address,
      BENCH_METHOD: load.method,
      BENCH_CONNECTIONS: String(load.connections),
      BENCH_STREAMS: String(load.streams),
      BENCH_LOOKUPS: String(load.lookups),
      BENCH_ROUTES: String(routes),
    },
    1,
  );
  // Warms both up.
  await generator.ask('1');
  const before = server.cpuUs();
  const { lookups, p50Ms, p99Ms } = (await generator.ask(String(seconds))) as Omit<Figures, 'cpuUs'> & {
    readonly lookups: number;
  };
  return { perSecond: lookups / seconds, cpuUs: (server.cpuUs() - before) / lookups, p50Ms, p99Ms };
}
