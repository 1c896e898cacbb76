import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  createClient,
  Endpoint,
  message,
  Route,
  Tenant,
  type TrafficManagerClient,
} from '../../../src/client/index.ts';
import { provideNatsServer } from '../../support/nats.ts';
import { createDatabase, startTestPostgres } from '../../support/postgres.ts';
import type { BenchOptions } from '../bench-options.ts';
import { percentile, printTable } from '../report.ts';
import { spawnServer } from '../spawn-server.ts';
import type { SourcesCommand, SourcesReport } from './stream-sources.ts';

const tenant = 'bench';

/**
 * From a commit to the sources of 1, 100 and 500 sidecars, at a steady rate: a control plane over a Postgres that flushes, a NATS
 * server, and all sources in one process with a connection each.
 */
export async function benchStream({ seconds }: BenchOptions): Promise<void> {
  await using postgres = await startTestPostgres({ durable: true });
  await using nats = await (await provideNatsServer()).start();
  const rows: (string | number)[][] = [];
  for (const { sources, perSecond } of [
    { sources: 1, perSecond: 20 },
    { sources: 100, perSecond: 20 },
    { sources: 500, perSecond: 20 },
    { sources: 1, perSecond: 300 },
    { sources: 1, perSecond: 1_000 },
  ]) {
    await using database = await createDatabase(postgres.url);
    await using server = await spawnServer('test/bench/watch/watch-server.ts', {
      DATABASE_URL: database.url,
      TM_NATS_URL: nats.url,
    });
    using client = createClient({ address: server.address, defaults: { timeoutMs: 30_000 } });
    await client.tenants.createTenant({ tenant: message(Tenant, { tenant }) });
    const child = fork(fileURLToPath(new URL('stream-sources.ts', import.meta.url)));
    child.send({ url: nats.url, tenant, sources } satisfies SourcesCommand);
    await nextReport(child, 'live');
    await writeAtRate(client, child, { changes: perSecond, perSecond });
    const figures = await writeAtRate(client, child, { changes: perSecond * Math.max(seconds, 10), perSecond });
    rows.push([`${sources} sources`, `${perSecond}/s`, ...figures]);
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  printTable(
    ['', 'changes', 'sent -> ack p50 ms', 'p99', 'ack -> half have it p50', 'p99', 'ack -> all have it p50', 'p99'],
    rows,
  );
}

async function nextReport(child: ChildProcess, kind: SourcesReport['kind']): Promise<SourcesReport> {
  for (;;) {
    const [told] = (await once(child, 'message')) as [SourcesReport];
    if (told.kind === kind) return told;
  }
}

type Rate = { readonly changes: number; readonly perSecond: number };

/** Commits changes at a rate, whether or not those before have arrived; waits for all of them. */
async function writeAtRate(
  client: TrafficManagerClient,
  child: ChildProcess,
  { changes, perSecond }: Rate,
): Promise<number[]> {
  const appliedNs = new Map<number, { readonly half: bigint; readonly all: bigint }>();
  const sent: { readonly revision: number; readonly sentNs: bigint; readonly ackedNs: bigint }[] = [];
  const onReport = (told: SourcesReport): void => {
    if (told.kind === 'applied')
      appliedNs.set(told.revision, { half: BigInt(told.medianNs), all: BigInt(told.lastNs) });
  };
  child.on('message', onReport);
  const startedAtMs = performance.now();
  const writes: Promise<void>[] = [];
  for (let index = 0; index < changes; index++) {
    const waitMs = startedAtMs + (index * 1_000) / perSecond - performance.now();
    if (waitMs > 1) await delay(waitMs);
    writes.push(write(index));
  }
  await Promise.all(writes);
  for (const { revision } of sent) while (!appliedNs.has(revision)) await delay(5);
  child.off('message', onReport);
  const ms = (from: bigint, to: bigint): number => Math.max(0, Number(to - from) / 1e6);
  const ackMs = sent.map(({ sentNs, ackedNs }) => ms(sentNs, ackedNs));
  const halfMs = sent.map(({ revision, ackedNs }) => ms(ackedNs, appliedNs.get(revision)?.half ?? 0n));
  const allMs = sent.map(({ revision, ackedNs }) => ms(ackedNs, appliedNs.get(revision)?.all ?? 0n));
  return [ackMs, halfMs, allMs].flatMap((times) => [percentile(times, 0.5), percentile(times, 0.99)]);

  async function write(index: number): Promise<void> {
    const key = { tenant, service: `service-${index % 50}`, environment: 'production', version: 'v1' };
    const endpoints = [message(Endpoint, { url: `grpc://host-${index}-${Math.round(startedAtMs)}:1` })];
    const sentNs = process.hrtime.bigint();
    const { revision } = await client.routes.updateRoute({
      route: message(Route, { key, endpoints }),
      allowMissing: true,
    });
    sent.push({ revision: Number(revision), sentNs, ackedNs: process.hrtime.bigint() });
  }
}
