import { setTimeout as delay } from 'node:timers/promises';
import { AckPolicy, connect, DeliverPolicy, type NatsConnection } from 'nats';
import {
  createClient,
  Endpoint,
  message,
  Route,
  Tenant,
  type TrafficManagerClient,
} from '../../../src/client/index.ts';
import { StreamMeta } from '../../../src/gen/trafficmanager/v1/change_stream.ts';
import { provideNatsServer } from '../../support/nats.ts';
import { createDatabase, startTestPostgres } from '../../support/postgres.ts';
import type { BenchOptions } from '../bench-options.ts';
import { percentile, printTable } from '../report.ts';
import { spawnServer } from '../spawn-server.ts';

const tenant = 'bench';

type Committed = { readonly revision: number; readonly sentAtMs: number; readonly answeredAtMs: number };

/**
 * From a commit, as its writer sees it, to JetStream, at a steady rate: a control plane over a Postgres that flushes, and one NATS
 * server. A change is in the stream when a meta of its revision, or of a later one, is delivered: only what is stored is.
 */
export async function benchPublish({ seconds }: BenchOptions): Promise<void> {
  await using postgres = await startTestPostgres({ durable: true });
  await using nats = await (await provideNatsServer()).start();
  const rows: (string | number)[][] = [];
  for (const perSecond of [20, 300, 1_000]) {
    await using database = await createDatabase(postgres.url);
    await using server = await spawnServer('test/bench/control-plane-server.ts', {
      DATABASE_URL: database.url,
      TM_NATS_URL: nats.url,
    });
    using client = createClient({ address: server.address, defaults: { timeoutMs: 30_000 } });
    await client.tenants.createTenant({ tenant: message(Tenant, { tenant }) });
    const connection = await connect({ servers: `127.0.0.1:${nats.port}` });
    const stored = await followMetas(connection);
    await commitAtRate(client, { changes: perSecond, perSecond });
    const cpuUs = server.cpuUs();
    const changes = perSecond * Math.max(seconds, 10);
    const committed = await commitAtRate(client, { changes, perSecond });
    await stored.reached(Math.max(...committed.map(({ revision }) => revision)));
    const commitMs = committed.map(({ sentAtMs, answeredAtMs }) => answeredAtMs - sentAtMs);
    const storeMs = committed.map(({ revision, answeredAtMs }) =>
      Math.max(0, stored.storedAtMs(revision) - answeredAtMs),
    );
    rows.push([
      `${perSecond}/s`,
      `${changes} changes`,
      percentile(commitMs, 0.5),
      percentile(commitMs, 0.99),
      percentile(storeMs, 0.5),
      percentile(storeMs, 0.99),
      (server.cpuUs() - cpuUs) / changes,
    ]);
    await connection.close();
    await removeStream(nats.port);
  }
  printTable(
    ['rate', '', 'sent -> committed p50 ms', 'p99', 'committed -> stored p50 ms', 'p99', 'control plane CPU us/change'],
    rows,
  );
}

type Stored = {
  /** When a revision was in the stream. */
  storedAtMs(revision: number): number;
  reached(revision: number): Promise<void>;
};

async function followMetas(connection: NatsConnection): Promise<Stored> {
  const metas: { readonly revision: number; readonly atMs: number }[] = [];
  const { streams, consumers } = await connection.jetstreamManager();
  while (
    !(await streams.info(`TM_${tenant}`).then(
      () => true,
      () => false,
    ))
  )
    await delay(10);
  // Made by hand: with the client's own ordered consumer this hung once on nats-server 2.9.10, for a reason that is not known.
  const { name } = await consumers.add(`TM_${tenant}`, {
    ack_policy: AckPolicy.None,
    deliver_policy: DeliverPolicy.All,
    filter_subject: `tm.v1.${tenant}.meta`,
  });
  const consumer = await connection.jetstream().consumers.get(`TM_${tenant}`, name);
  const subscription = await consumer.consume();
  void (async () => {
    for await (const { data } of subscription)
      metas.push({ revision: Number(StreamMeta.decode(data).revision), atMs: performance.now() });
  })();
  return {
    storedAtMs: (revision) => {
      let low = 0;
      let high = metas.length - 1;
      while (low < high) {
        const middle = (low + high) >> 1;
        if ((metas[middle]?.revision ?? 0) >= revision) high = middle;
        else low = middle + 1;
      }
      return metas[low]?.atMs ?? Number.NaN;
    },
    reached: async (revision) => {
      while ((metas.at(-1)?.revision ?? 0) < revision) await delay(5);
    },
  };
}

/** Commits changes at a rate, whether or not those before have been answered. */
async function commitAtRate(
  client: TrafficManagerClient,
  { changes, perSecond }: { readonly changes: number; readonly perSecond: number },
): Promise<Committed[]> {
  const startedAtMs = performance.now();
  const writes: Promise<Committed>[] = [];
  for (let index = 0; index < changes; index++) {
    const waitMs = startedAtMs + (index * 1_000) / perSecond - performance.now();
    if (waitMs > 1) await delay(waitMs);
    writes.push(commit(index));
  }
  return await Promise.all(writes);

  async function commit(index: number): Promise<Committed> {
    const key = { tenant, service: `service-${index % 50}`, environment: 'production', version: 'v1' };
    const endpoints = [message(Endpoint, { url: `grpc://host-${index}-${Math.round(startedAtMs)}:1` })];
    const sentAtMs = performance.now();
    const route = message(Route, { key, endpoints });
    const { revision } = await client.routes.updateRoute({ route, allowMissing: true });
    return { revision: Number(revision), sentAtMs, answeredAtMs: performance.now() };
  }
}

async function removeStream(port: number): Promise<void> {
  const connection = await connect({ servers: `127.0.0.1:${port}` });
  await (await connection.jetstreamManager()).streams.delete(`TM_${tenant}`);
  await connection.close();
}
