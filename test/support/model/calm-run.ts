import { message, Tenant } from '../../../src/client/index.ts';
import { seededRandom } from '../../fakes/seeded-random.ts';
import { startTestReplicas } from '../control-plane.ts';
import { checkRun, readLogs, type Run } from './check-run.ts';
import type { Findings } from './check-calls.ts';
import { RecordedWatch, type WatchOptions } from './recorded-watch.ts';
import type { TenantLog } from './tenant-log.ts';
import { Workload } from './workload.ts';

const tenants = ['red', 'blue'];
const clients = 6;
const shrink = { sharePercentMax: 20, routesMin: 3 };
/** Watchers that join while the clients are at work. */
const lateJoins = 4;

export type CalmRunOptions = {
  /** Of a superuser of the Postgres to make a database in. */
  readonly adminUrl: string;
  readonly seed: number;
  readonly operations: number;
  /** May look into the run, and spoil it, before it is checked. */
  readonly beforeCheck?: (run: Run, logs: ReadonlyMap<string, TenantLog>) => void;
};

/**
 * Random operations of concurrent clients over two replicas that nothing happens to, held against the model. The seed decides what
 * the clients ask for, not how their calls interleave.
 */
export async function runCalmly({ adminUrl, seed, operations, beforeCheck }: CalmRunOptions): Promise<Findings> {
  await using bench = await startTestReplicas(adminUrl, 2, {
    shrinkPercentMax: shrink.sharePercentMax,
    shrinkRoutesMin: shrink.routesMin,
  });
  const replicas = bench.replicas.map(({ client }) => client);
  for (const tenant of tenants) await replicas[0]?.tenants.createTenant({ tenant: message(Tenant, { tenant }) });

  const workload = new Workload({ seed, tenants, replicas, clients, calm: true, callTimeoutMs: 30_000 });
  const random = seededRandom(seed);
  const watches: RecordedWatch[] = [];
  const watching: Promise<void>[] = [];
  const watch = (tenant: string, options: Partial<WatchOptions>): void => {
    const usual = { after: undefined, everyChange: false, cutAfter: undefined, resumePauseMs: undefined };
    const recorded = new RecordedWatch({ tenant, replicas, random, ...usual, ...options });
    watches.push(recorded);
    watching.push(recorded.run());
  };
  for (const tenant of tenants) {
    watch(tenant, { after: 0n });
    watch(tenant, {});
    watch(tenant, { after: 0n, everyChange: true, cutAfter: 20 });
    watch(tenant, { cutAfter: 40 });
    // One that reads slowly.
    watch(tenant, { after: 0n, everyChange: true, pace: async () => await workload.moreCalls(100) });
  }
  const joinWhileTheyWork = async (): Promise<void> => {
    for (let late = 0; late < lateJoins; late++) {
      await workload.moreCalls(Math.floor(operations / (lateJoins + 2)));
      for (const tenant of tenants) {
        watch(tenant, late % 2 === 0 ? {} : { after: BigInt(workload.knownRevision(tenant)), everyChange: true });
      }
    }
  };
  const working = Promise.all([workload.run(operations), joinWhileTheyWork()]);
  // A watch that fails ends the run at once.
  await Promise.race([working, Promise.all(watching).then(async () => await working)]);
  const run: Run = { tenants, replicas, calls: workload.calls, watches, watching: Promise.all(watching), shrink };
  const logs = await readLogs(run);
  beforeCheck?.(run, logs);
  return await checkRun(run, logs);
}
