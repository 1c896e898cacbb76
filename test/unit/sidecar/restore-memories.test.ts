import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { sidecarLimits } from '../../../sidecar/limits.ts';
import { restoreMemories } from '../../../sidecar/snapshot/restore-memories.ts';
import { SnapshotFiles } from '../../../sidecar/snapshot/snapshot-files.ts';
import { SnapshotMemory } from '../../../sidecar/snapshot/snapshot-memory.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { createRoute, exampleKey } from '../../fakes/example-configuration.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { SidecarHistory } from '../../fakes/sidecar-history.ts';

const logger = createLogger('sidecar', 'silent');
const clock = new FakeClock();
let directory: string;
let files: SnapshotFiles;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tm-restore-'));
  files = new SnapshotFiles({ directory, logger, processId: 7 });
});
afterEach(async () => await rm(directory, { recursive: true, force: true }));

async function save(tenant: string): Promise<void> {
  const history = new SidecarHistory(tenant);
  history.commit(createRoute(exampleKey('v1', { tenant })));
  const memory = new SnapshotMemory({ bytesMax: 10_000_000 }).tenant(tenant);
  memory.replace(history.snapshot());
  const { position } = memory;
  const footer = { tenant, state: 'ACTIVE', position, complete: true, services: null, verifiedAtMs: 0 } as const;
  await files.write(memory, () => footer);
}

const restore = (scope: { tenants: readonly string[]; onDemand: boolean }) =>
  restoreMemories({ files, memory: new SnapshotMemory({ bytesMax: 10_000_000 }), scope, clock, logger });

test('a tenant that the operator named is restored, however many others there are files of', async () => {
  const others = Array.from({ length: sidecarLimits.onDemandTenantsMax + 20 }, (_, index) => `tenant-${index}`);
  const named = ['acme', 'mid', 'zebra'];
  for (const tenant of named) await save(tenant);
  // Refused, but a place is lost with each of them all the same.
  for (const tenant of others) await writeFile(join(directory, `${tenant}.snapshot`), '');
  const restored = await restore({ tenants: named, onDemand: true });
  expect([...restored.keys()].toSorted()).toEqual(named);
});

test('of a tenant outside the scope nothing is restored', async () => {
  for (const tenant of ['acme', 'globex']) await save(tenant);
  expect([...(await restore({ tenants: ['acme'], onDemand: false })).keys()]).toEqual(['acme']);
});
