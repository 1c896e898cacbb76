import type { Clock } from '../../src/platform/clock.ts';
import type { Logger } from '../../src/platform/logger.ts';
import { sidecarLimits } from '../limits.ts';
import type { SnapshotFiles } from './snapshot-files.ts';
import type { SnapshotMemory } from './snapshot-memory.ts';

export type RestoreOptions = {
  readonly files: SnapshotFiles;
  readonly memory: SnapshotMemory;
  /** Whether this sidecar follows a tenant. */
  readonly isInScope: (tenant: string) => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
};

/** Fills memory from the files of before; how stale each tenant's is, ms. Before any network: this is what a cold start answers from. */
export async function restoreMemories(options: RestoreOptions): Promise<ReadonlyMap<string, number>> {
  const { files, memory, isInScope, clock, logger } = options;
  const restored = new Map<string, number>();
  const tenants = (await files.tenants()).filter(isInScope);
  // One by one: their files together may be larger than what is kept of them.
  for (const tenant of tenants.slice(0, sidecarLimits.onDemandTenantsMax)) {
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
