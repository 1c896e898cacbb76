import assert from 'node:assert/strict';
import type { TrafficManagerClient } from '../../../src/client/index.ts';
import { CallCheck, type Findings } from './check-calls.ts';
import { listedAt } from './check-reads.ts';
import type { ShrinkProtection } from './evaluate.ts';
import type { Call } from './operation.ts';
import type { RecordedWatch } from './recorded-watch.ts';
import { readLog } from './send-operation.ts';
import { TenantLog } from './tenant-log.ts';

export type Run = {
  readonly tenants: readonly string[];
  readonly replicas: readonly TrafficManagerClient[];
  readonly calls: readonly Call[];
  readonly watches: readonly RecordedWatch[];
  /** The watches, until each of them has ended. */
  readonly watching: Promise<unknown>;
  readonly shrink: ShrinkProtection;
};

/** After the last call: reads the logs, and lets the watchers come to their end. */
export async function readLogs({ tenants, replicas, watches, watching }: Run): Promise<Map<string, TenantLog>> {
  const [first] = replicas;
  assert(first !== undefined);
  const logs = new Map<string, TenantLog>();
  for (const tenant of tenants) {
    const log = new TenantLog(tenant, await readLog(first, tenant));
    logs.set(tenant, log);
    for (const watch of watches) if (watch.options.tenant === tenant) watch.endAt(log.head);
  }
  await watching;
  return logs;
}

/** Holds everything that clients and watchers were told against the logs and the model. */
export async function checkRun(
  { replicas, calls, watches, shrink }: Run,
  logs: ReadonlyMap<string, TenantLog>,
): Promise<Findings> {
  const violations: string[] = [];
  const seen: Record<string, number> = { calls: calls.length };
  const add = (counts: Readonly<Record<string, number>>): void => {
    for (const [what, count] of Object.entries(counts)) seen[what] = (seen[what] ?? 0) + count;
  };
  for (const log of logs.values()) {
    const check = new CallCheck(log, calls, shrink);
    violations.push(...check.violations);
    add({ ...check.seen, revisions: log.head });
    for (const [replica, client] of replicas.entries()) {
      await guard(violations, `replica ${replica} in the end`, async () => await expectFinal(client, log));
    }
    for (const [index, watch] of watches.entries()) {
      if (watch.options.tenant !== log.tenant) continue;
      await guard(violations, `watch ${index} of ${log.tenant}`, () => {
        const { changes, snapshots, coalesced } = watch.check(log);
        add({ watched: changes, snapshots, coalesced, streams: watch.streams.length, broken: watch.broken });
      });
    }
  }
  return { violations, seen };
}

/** Every replica has what the log comes to. */
async function expectFinal({ routes, policies }: TrafficManagerClient, log: TenantLog): Promise<void> {
  const { tenant } = log;
  const state = log.at(log.head);
  const listed = await routes.listRoutes({ tenant, pageSize: 1_000, showDeleted: true });
  assert.deepEqual(listed.routes, listedAt(state));
  assert.equal(Number(listed.revision), log.head);
  for (const { wire } of state.routes.values()) {
    assert.deepEqual((await routes.getRoute({ key: wire?.key })).route, wire);
  }
  const { trafficPolicies } = await policies.listTrafficPolicies({ tenant, pageSize: 1_000 });
  const wanted = [...state.policies].toSorted(([left], [right]) => (left < right ? -1 : 1)).map(([, { wire }]) => wire);
  assert.deepEqual(trafficPolicies, wanted);
}

async function guard(violations: string[], what: string, check: () => void | Promise<void>): Promise<void> {
  try {
    await check();
  } catch (error) {
    violations.push(`${what}: ${(error as Error).message}`);
  }
}
