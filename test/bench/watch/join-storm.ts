import { readFileSync } from 'node:fs';
import { Endpoint, message, Route, type TrafficManagerClient } from '../../../src/client/index.ts';
import type { BenchServer } from '../spawn-server.ts';
import { startClients } from './client-process.ts';
import { pause, reached, requestAfter } from './fan-out.ts';

/** What many joins at once came to. */
export type JoinFigures = {
  /** Until the last watcher had its snapshot and the change after it. */
  readonly lastMs: number;
  readonly cpuMs: number;
  readonly bytesPerWatcher: number;
  readonly rssMax: number;
};

export type JoinOptions = {
  readonly server: BenchServer;
  readonly client: TrafficManagerClient;
  readonly tenant: string;
  readonly watchers: number;
};

/** Watchers that all ask for a snapshot at the same moment. */
export async function measureJoins({ server, client, tenant, watchers }: JoinOptions): Promise<JoinFigures> {
  await using clients = startClients();
  const cpuUsBefore = server.cpuUs();
  const startNs = process.hrtime.bigint();
  const connections = Math.ceil(watchers / 100);
  let rssMax = 0;
  const sampler = setInterval(() => {
    rssMax = Math.max(rssMax, rssOf(server.pid));
  }, 20);
  try {
    const streams = Math.ceil(watchers / connections);
    clients.tell({ kind: 'open', address: server.address, connections, streams, request: requestAfter(undefined) });
    // Whoever has a part of its snapshot gets the next change after it.
    while ((await clients.report()).kind !== 'joined');
    const url = `grpc://joined-${watchers}.bench.internal:8443`;
    const key = { tenant, service: 'service-0', environment: 'production', version: 'v1' };
    const route = message(Route, { key, endpoints: [message(Endpoint, { url })] });
    const { revision } = await client.routes.updateRoute({ route });
    const lastNs = await reached(clients, Number(revision));
    const cpuMs = (server.cpuUs() - cpuUsBefore) / 1_000;
    await pause(100);
    clients.tell({ kind: 'count' });
    for (;;) {
      const counted = await clients.report();
      if (counted.kind !== 'counted') continue;
      if (counted.ended > 0) throw new Error(`watches ended: ${JSON.stringify(counted)}`);
      return { lastMs: Number(lastNs - startNs) / 1e6, cpuMs, bytesPerWatcher: counted.bytes / watchers, rssMax };
    }
  } finally {
    clearInterval(sampler);
  }
}

function rssOf(pid: number): number {
  const match = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(match?.[1] ?? 0) * 1024;
}
