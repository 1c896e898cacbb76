import { SnapshotMemory } from '../../../sidecar/snapshot/snapshot-memory.ts';
import { NatsSource } from '../../../sidecar/sync/nats-source.ts';
import { TenantSync } from '../../../sidecar/sync/tenant-sync.ts';
import { systemClock as clock } from '../../../src/platform/clock.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { connectNats } from '../../../src/platform/nats/connect-nats.ts';
import { afterSockets } from '../../../src/platform/turns.ts';

/** What a parent tells: how many sources to open, each with a connection and a memory of its own, on one tenant. */
export type SourcesCommand = { readonly url: string; readonly tenant: string; readonly sources: number };

/** Told once all are live, and for each revision once all have it. Times as of `process.hrtime`, which all processes share. */
export type SourcesReport =
  | { readonly kind: 'live' }
  | { readonly kind: 'applied'; readonly revision: number; readonly medianNs: string; readonly lastNs: string };

const logger = createLogger('bench', 'silent');

function report(message: SourcesReport): void {
  process.send?.(message);
}

process.once('message', ({ url, tenant, sources }: SourcesCommand) => {
  const appliedNs = new Map<number, bigint[]>();
  let live = 0;
  for (let index = 0; index < sources; index++) {
    const link = connectNats({ url, name: `bench-${index}`, logger });
    const source = new NatsSource({
      link,
      consumerName: `sidecar_${index}`,
      clock,
      random: Math.random,
      schedule: afterSockets,
      logger,
    });
    const memory = new SnapshotMemory({ bytesMax: 16 * 1024 * 1024 }).tenant(tenant);
    const sync = new TenantSync({ tenant, memory, source, clock, random: Math.random, logger });
    let isLive = false;
    let held = 0;
    sync.subscribe(() => {
      if (sync.state.kind === 'live' && !isLive) {
        isLive = true;
        held = memory.position.revision;
        if (++live === sources) report({ kind: 'live' });
      }
      for (; isLive && held < memory.position.revision; held++) applied(held + 1);
    });
  }

  function applied(revision: number): void {
    const times = appliedNs.get(revision) ?? [];
    appliedNs.set(revision, times);
    if (times.push(process.hrtime.bigint()) < sources) return;
    appliedNs.delete(revision);
    const medianNs = times[Math.floor(times.length / 2)] ?? 0n;
    report({ kind: 'applied', revision, medianNs: String(medianNs), lastNs: String(times.at(-1) ?? 0n) });
  }
});
process.once('disconnect', () => process.exit(0));
