import type { Clock } from '../../src/platform/clock.ts';
import type { Logger } from '../../src/platform/logger.ts';
import type { Scope } from '../config.ts';
import { sidecarLimits } from '../limits.ts';
import type { SnapshotFiles } from './snapshot-files.ts';
import type { SnapshotMemory } from './snapshot-memory.ts';

export type RestoreOptions = {
  readonly files: SnapshotFiles;
  readonly memory: SnapshotMemory;
  readonly scope: Scope;
  readonly clock: Clock;
  readonly logger: Logger;
};

/** Fills memory from the files of before; how stale each tenant's is, ms. Before any network: this is what a cold start answers from. */
export async function restoreMemories(options: RestoreOptions): Promise<ReadonlyMap<string, number>> {
  const { files, memory, scope, clock, logger } = options;
  const restored = new Map<string, number>();
  const stored = await files.tenants();
  // As many as there may be on demand, and whom the operator has named in any case.
  const named = stored.filter((tenant) => scope.tenants.includes(tenant));
  const others = scope.onDemand ? stored.filter((tenant) => !scope.tenants.includes(tenant)) : [];
  // One by one: their files together may be larger than what is kept of them.
  for (const tenant of [...named, ...others.slice(0, sidecarLimits.onDemandTenantsMax)]) {
    const tenantMemory = memory.tenant(tenant);
    const snapshot = await files.read(tenant, tenantMemory.services);
    if (snapshot === undefined) continue;
    tenantMemory.restore(snapshot);
    const ageMs = clock.wallMs() - snapshot.verifiedAtMs;
    // From the future: the machine's date was wrong then, or is now, and nothing is known of its age.
    restored.set(tenant, ageMs < 0 ? sidecarLimits.unknownAgeMs : ageMs);
    const { revision } = snapshot.position;
    logger.info({ tenant, revision, groups: tenantMemory.size, ageMs }, 'restored a snapshot from disk');
  }
  return restored;
}
