import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Endpoint, message, Route, type TrafficManagerClient } from '../../../src/client/index.ts';
import { ResolveRequest } from '../../../src/gen/trafficmanager/v1/resolver_service.ts';
import { WatchRequest } from '../../../src/gen/trafficmanager/v1/watch_service.ts';
import { percentile } from '../report.ts';
import { benchKey } from '../resolve/bench-routes.ts';
import { pinned, type BenchServer } from '../spawn-server.ts';
import { startClients, type ClientProcess } from './client-process.ts';
import { memoryOf } from './server-memory.ts';

export type Percentiles = { readonly p50: number; readonly p99: number };

/** What changes came to. */
export type FanOutFigures = {
  /** From the writer's receipt of the reply, ms. */
  readonly ackedToLastMs: Percentiles;
  /** From the writer's call, ms. */
  readonly sentToLastMs: Percentiles;
  readonly cpuUsPerDelivery: number;
  readonly kibPerWatcher: number;
  readonly resolveQuietMs: Percentiles;
  readonly resolveBusyMs: Percentiles;
};

export type FanOutOptions = {
  readonly server: BenchServer;
  readonly client: TrafficManagerClient;
  readonly tenant: string;
  readonly shape: { readonly connections: number; readonly streams: number };
  readonly changes: number;
};

/** Commits one change after another, each when the last watcher has the one before. */
export async function measureFanOut(options: FanOutOptions): Promise<FanOutFigures> {
  const { server, client, shape } = options;
  const watchers = shape.connections * shape.streams;
  const before = await memoryOf(server);
  await using clients = startClients();
  clients.tell({ kind: 'open', address: server.address, ...shape, request: requestAfter(await change(options, 0)) });
  await reached(clients, await change(options, 1));
  // The first changes warm the code up.
  for (let index = 0; index < 10; index++) await reached(clients, await change(options, index));
  const held = await memoryOf(server);

  using probe = startProbe(server, options.tenant);
  await pause(3_000);
  const quiet = await probe.durationsMs();
  const cpuUsBefore = server.cpuUs();
  const fromAckMs: number[] = [];
  const fromSendMs: number[] = [];
  for (let index = 0; index < options.changes; index++) {
    const sentNs = process.hrtime.bigint();
    const revision = await change(options, index);
    const ackedNs = process.hrtime.bigint();
    const lastNs = await reached(clients, revision);
    fromAckMs.push(Number(lastNs - ackedNs) / 1e6);
    fromSendMs.push(Number(lastNs - sentNs) / 1e6);
  }
  const cpuUs = server.cpuUs() - cpuUsBefore;
  const busy = await probe.durationsMs();
  clients.tell({ kind: 'count' });
  const counted = await clients.report();
  if (counted.kind !== 'counted' || counted.ended > 0) throw new Error(`watches ended: ${JSON.stringify(counted)}`);
  void client;
  return {
    ackedToLastMs: percentiles(fromAckMs),
    sentToLastMs: percentiles(fromSendMs),
    // The lookups of the probe are in it too: some hundred microseconds a change.
    cpuUsPerDelivery: cpuUs / options.changes / watchers,
    kibPerWatcher: (held.rss - before.rss) / 1024 / watchers,
    resolveQuietMs: percentiles(quiet),
    resolveBusyMs: percentiles(busy),
  };
}

function percentiles(values: readonly number[]): Percentiles {
  return { p50: percentile(values, 0.5), p99: percentile(values, 0.99) };
}

/** A watcher that says nothing for a minute unless something happens: heartbeats are another cost. */
export function requestAfter(revision: number | undefined): string {
  const request = {
    ...WatchRequest.decode(new Uint8Array()),
    tenant: 'bench',
    afterRevision: revision === undefined ? undefined : BigInt(revision),
    progressInterval: { seconds: 60n, nanos: 0 },
  };
  return Buffer.from(WatchRequest.encode(request).finish()).toString('base64');
}

/** Moves one route; its revision. */
async function change({ client }: FanOutOptions, index: number): Promise<number> {
  const url = `grpc://moved-${performance.now()}-${index}.bench.internal:8443`;
  const route = message(Route, { key: benchKey(index % 10), endpoints: [message(Endpoint, { url })] });
  const { revision } = await client.routes.updateRoute({ route });
  return Number(revision);
}

/** When the last watcher had a revision, on the machine's monotonic clock. */
export async function reached(clients: ClientProcess, revision: number): Promise<bigint> {
  clients.tell({ kind: 'await', revision });
  for (;;) {
    const report = await clients.report();
    if (report.kind === 'reached' && report.revision >= revision) return BigInt(report.atNs);
  }
}

type Probe = Disposable & {
  /** Of the lookups since the last call. */
  durationsMs(): Promise<readonly number[]>;
};

function startProbe(server: BenchServer, tenant: string): Probe {
  const { service, environment, version } = benchKey(0);
  const request = { ...ResolveRequest.decode(new Uint8Array()), key: { tenant, service, environment, version } };
  const body = ResolveRequest.encode(request).finish();
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(body.length, 1);
  const [command, parameters] = pinned(1, process.execPath, [
    'test/bench/watch/resolve-probe.ts',
    `http://${server.address}`,
    '/trafficmanager.v1.ResolverService/Resolve',
    Buffer.concat([prefix, body]).toString('base64'),
  ]);
  const child: ChildProcess = spawn(command, parameters, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  return {
    durationsMs: async () => {
      child.send('durations');
      const [durationsMs] = (await once(child, 'message')) as [number[]];
      return durationsMs;
    },
    [Symbol.dispose]: () => void child.kill('SIGKILL'),
  };
}

export function pause(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}
