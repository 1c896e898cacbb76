import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../../src/platform/logger.ts';
import { decodeSnapshot, RefusedFileError, SnapshotEncoder, type DiskSnapshot, type Footer } from './disk-format.ts';
import type { GroupName } from './group.ts';
import type { TenantMemory } from './tenant-memory.ts';

/** Groups in one piece: about 0.3 ms of work between two turns of the event loop. */
const groupsPerPiece = 256;
const extension = '.snapshot';

/** A sidecar's state directory: one file a tenant, each written aside and put in its place as a whole. */
export class SnapshotFiles {
  readonly #directory: string;
  readonly #logger: Logger;
  readonly #processId: number;

  constructor({ directory, logger, processId }: { directory: string; logger: Logger; processId: number }) {
    this.#directory = directory;
    this.#logger = logger;
    this.#processId = processId;
  }

  /** The tenants of whom there is a file, whatever it holds. Makes the directory, and clears what a killed process left half-written. */
  async tenants(): Promise<string[]> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const names = await readdir(this.#directory);
    const halves = names.filter((name) => name.includes(`${extension}.`));
    await Promise.all(halves.map((name) => rm(join(this.#directory, name), { force: true })));
    return names.filter((name) => name.endsWith(extension)).map((name) => name.slice(0, -extension.length));
  }

  /** A tenant's file; undefined when there is none, or none to be believed, which is logged. */
  async read(tenant: string, services: readonly string[] | null): Promise<DiskSnapshot | undefined> {
    const path = this.#pathOf(tenant);
    try {
      const snapshot = decodeSnapshot(await readFile(path), tenant);
      if (JSON.stringify(snapshot.services) !== JSON.stringify(services))
        throw new RefusedFileError('it is of other services than are subscribed to now');
      return snapshot;
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
      const reason = error instanceof RefusedFileError ? error.message : 'it cannot be read';
      this.#logger.warn({ tenant, path, reason, error }, 'refused a snapshot file; starting without it');
      return undefined;
    }
  }

  /** Writes what a memory holds; false when it was taken anew meanwhile, and nothing was written. */
  async write(memory: TenantMemory, footer: () => Footer): Promise<boolean> {
    const path = this.#pathOf(footer().tenant);
    const half = `${path}.${this.#processId}`;
    const file = await open(half, 'w', 0o600);
    let isWhole = false;
    try {
      isWhole = await this.#fill((bytes) => file.appendFile(bytes), memory, footer);
      if (isWhole) await file.sync();
    } finally {
      await file.close();
      if (!isWhole) await rm(half, { force: true });
    }
    if (!isWhole) return false;
    await rename(half, path);
    await this.#syncDirectory();
    return true;
  }

  /** A tenant's file goes: there is no such tenant. */
  async remove(tenant: string): Promise<void> {
    await rm(this.#pathOf(tenant), { force: true });
  }

  async #fill(append: (bytes: Buffer) => Promise<void>, memory: TenantMemory, footer: () => Footer): Promise<boolean> {
    const encoder = new SnapshotEncoder();
    const saving = memory.beginSaving();
    const recordsOf = (names: readonly GroupName[]): Buffer =>
      encoder.records(names.map((name) => ({ ...name, group: memory.peek(name) })));
    await append(encoder.head());
    for (let first = 0; first < saving.names.length; first += groupsPerPiece) {
      await append(recordsOf(saving.names.slice(first, first + groupsPerPiece)));
      if (saving.isOutrun()) return false;
    }
    // In one turn: from here on the file is of one moment.
    await append(Buffer.concat([recordsOf(saving.changed()), encoder.foot(footer())]));
    return true;
  }

  async #syncDirectory(): Promise<void> {
    const directory = await open(this.#directory);
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }

  #pathOf(tenant: string): string {
    return join(this.#directory, `${tenant}${extension}`);
  }
}
