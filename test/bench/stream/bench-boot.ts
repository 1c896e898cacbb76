import { SnapshotMemory } from '../../../sidecar/snapshot/snapshot-memory.ts';
import type { TenantMemory } from '../../../sidecar/snapshot/tenant-memory.ts';
import { NatsSource } from '../../../sidecar/sync/nats-source.ts';
import { TenantSync } from '../../../sidecar/sync/tenant-sync.ts';
import { systemClock as clock } from '../../../src/platform/clock.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { connectNats } from '../../../src/platform/nats/connect-nats.ts';
import { afterSockets } from '../../../src/platform/turns.ts';
import { createRoute, exampleKey } from '../../fakes/example-configuration.ts';
import { SidecarHistory } from '../../fakes/sidecar-history.ts';
import { provideNatsServer } from '../../support/nats.ts';
import { StreamPublisher } from '../../support/stream-publisher.ts';
import type { BenchOptions } from '../bench-options.ts';
import { median, printTable } from '../report.ts';

const logger = createLogger('bench', 'silent');

/**
 * How long a sidecar takes from its first packet to a snapshot that is proven, with nothing but NATS: one tenant with 100,000 routes,
 * and one of fifty with 2,000 each. Its process is started already, and compiles its code in the first round: rounds are given one
 * by one.
 */
export async function benchBoot({ rounds }: BenchOptions): Promise<void> {
  await using nats = await (await provideNatsServer()).start();
  await fillStreams(nats.url);
  const rows: (string | number)[][] = [];
  for (const { tenant, what } of [
    { tenant: 'large', what: '100,000 routes of one tenant' },
    { tenant: 'small-7', what: '2,000 routes of one of 50 tenants' },
  ]) {
    const tookMs: number[] = [];
    for (let round = 0; round < rounds; round++) tookMs.push(await boot(nats.url, tenant));
    rows.push([what, '', median(tookMs), Math.min(...tookMs), Math.max(...tookMs)]);
  }
  printTable(['what', '', 'ms to a proven snapshot', 'least', 'most'], rows);
}

/** Then the publisher is gone. */
async function fillStreams(url: string): Promise<void> {
  await using publisher = await StreamPublisher.connect(url);
  await publisher.publishAll(historyOf('large', 100_000));
  for (let tenant = 0; tenant < 50; tenant++) await publisher.publishAll(historyOf(`small-${tenant}`, 2_000));
}

async function boot(url: string, tenant: string): Promise<number> {
  const startedAtMs = performance.now();
  await using link = connectNats({ url, name: 'bench', logger });
  const source = new NatsSource({
    link,
    consumerName: 'sidecar_bench',
    clock,
    random: Math.random,
    schedule: afterSockets,
    logger,
  });
  const memory = new SnapshotMemory({ bytesMax: 1024 * 1024 * 1024 }).tenant(tenant);
  await using _sync = new TenantSync({ tenant, memory, source, clock, random: Math.random, logger });
  await untilHeld(memory);
  return performance.now() - startedAtMs;
}

async function untilHeld(memory: TenantMemory): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  using _subscription = memory.subscribe(resolve);
  if (memory.tenant === undefined) await promise;
}

function historyOf(tenant: string, routes: number): SidecarHistory {
  const history = new SidecarHistory(tenant);
  for (let first = 0; first < routes; first += 1_000) {
    history.commit(
      ...Array.from({ length: 1_000 }, (_, index) => {
        const route = first + index;
        return createRoute(exampleKey(`v${route % 5}`, { tenant, service: `service-${Math.floor(route / 5)}` }));
      }),
    );
  }
  return history;
}
