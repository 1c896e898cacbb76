import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { sidecarLimits } from '../../../sidecar/limits.ts';
import { SnapshotFiles } from '../../../sidecar/snapshot/snapshot-files.ts';
import { SnapshotMemory } from '../../../sidecar/snapshot/snapshot-memory.ts';
import type { TenantMemory } from '../../../sidecar/snapshot/tenant-memory.ts';
import { SnapshotSaver } from '../../../sidecar/snapshot/snapshot-saver.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { createRoute, exampleKey } from '../../fakes/example-configuration.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { rangeOf, SidecarHistory } from '../../fakes/sidecar-history.ts';

let directory: string;
let said: string[];
let clock: FakeClock;
let files: SnapshotFiles;
let saver: SnapshotSaver;
let memory: TenantMemory;
let history: SidecarHistory;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tm-saver-'));
  said = [];
  const logger = createLogger('sidecar', 'silent');
  const say = (_fields: object, line: string): void => void said.push(line);
  Object.assign(logger, { warn: say, info: say });
  clock = new FakeClock();
  files = new SnapshotFiles({ directory, logger, processId: 7 });
  saver = new SnapshotSaver({ files, clock, logger });
  memory = new SnapshotMemory({ bytesMax: 10_000_000 }).tenant('acme');
  history = new SidecarHistory('acme');
  saver.add({ tenant: 'acme', memory, stalenessMs: () => 0 });
});

afterEach(async () => {
  await saver[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

function change(version: string): void {
  memory.advance(rangeOf(history.commit(createRoute(exampleKey(version)))));
}

/** The delay passes; resolves when the saver sleeps again, or has nothing left to do. */
async function passDelay(until: () => Promise<boolean>): Promise<void> {
  await clock.untilSomebodySleeps();
  clock.advance(sidecarLimits.saveDelayMs);
  while (!(await until())) await new Promise<void>((resolve) => setImmediate(resolve));
}

const savedRevision = async (): Promise<number | undefined> => (await files.read('acme', null))?.position.revision;
const saves = (revision: number) => async (): Promise<boolean> => (await savedRevision()) === revision;

test('many changes are saved once, after the delay', async () => {
  memory.replace(history.snapshot());
  for (const version of ['v1', 'v2', 'v3']) change(version);
  await clock.untilSomebodySleeps();
  expect(await savedRevision()).toBeUndefined();
  await passDelay(saves(history.position.revision));
});

test('a snapshot that could not be saved is saved as soon as that is possible, without another change, and is told of once', async () => {
  memory.replace(history.snapshot());
  // In the way of what is written aside.
  await mkdir(join(directory, 'acme.snapshot.7'));
  await passDelay(async () => said.length > 0);
  await passDelay(async () => true);
  await clock.untilSomebodySleeps();
  await rm(join(directory, 'acme.snapshot.7'), { recursive: true });
  await passDelay(saves(history.position.revision));
  while (said.length < 2) await new Promise<void>((resolve) => setImmediate(resolve));
  expect(said).toEqual([
    'cannot save the snapshot; a restart would begin with an older one',
    'saved the snapshot again',
  ]);
});

test('what is not saved yet is saved when the sidecar stops', async () => {
  memory.replace(history.snapshot());
  await saver[Symbol.asyncDispose]();
  expect(await savedRevision()).toBe(history.position.revision);
});

test('the file of a tenant that does not exist any more goes', async () => {
  memory.replace(history.snapshot());
  await passDelay(saves(history.position.revision));
  saver.remove('acme');
  await saver[Symbol.asyncDispose]();
  while ((await savedRevision()) !== undefined) await new Promise<void>((resolve) => setImmediate(resolve));
  expect(await files.tenants()).toEqual([]);
});

test('a file that cannot be removed is told of, and ends nothing', async () => {
  await rm(directory, { recursive: true });
  await writeFile(directory, 'no directory any more');
  // Nothing is held of a tenant that a caller made up.
  saver.remove('acme');
  while (said.length === 0) await new Promise<void>((resolve) => setImmediate(resolve));
  expect(said).toEqual(['cannot remove the snapshot of a tenant that does not exist']);
});
