import type { Clock } from '../../src/platform/clock.ts';
import type { Logger } from '../../src/platform/logger.ts';
import { sidecarLimits } from '../limits.ts';
import type { Footer } from './disk-format.ts';
import type { SnapshotFiles } from './snapshot-files.ts';
import type { TenantMemory } from './tenant-memory.ts';

/** A memory that is saved, and how certain it is. */
export type Saved = { readonly tenant: string; readonly memory: TenantMemory; stalenessMs(): number };

export type SnapshotSaverOptions = {
  readonly files: SnapshotFiles;
  readonly clock: Clock;
  readonly logger: Logger;
};

/** Keeps the files of tenants behind their memories: each some seconds after a change, however many follow, and all when it stops. */
export class SnapshotSaver implements AsyncDisposable {
  readonly #options: SnapshotSaverOptions;
  readonly #saving = new Map<string, Saving>();

  constructor(options: SnapshotSaverOptions) {
    this.#options = options;
  }

  /** Saves a memory from now on. */
  add(saved: Saved): void {
    this.#saving.set(saved.tenant, new Saving(saved, this.#options));
  }

  /** There is no such tenant: what is saved of it goes. */
  remove(tenant: string): void {
    const saving = this.#saving.get(tenant);
    this.#saving.delete(tenant);
    if (saving !== undefined) void this.#remove(tenant, saving);
  }

  async #remove(tenant: string, saving: Saving): Promise<void> {
    const { files, logger } = this.#options;
    try {
      await saving[Symbol.asyncDispose]();
      await files.remove(tenant);
    } catch (error) {
      // It stays, and is refused or asked about at the next start: a disk that fails must not end the process.
      logger.warn({ tenant, error }, 'cannot remove the snapshot of a tenant that does not exist');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#saving.values()].map((saving) => saving[Symbol.asyncDispose]()));
  }
}

class Saving implements AsyncDisposable {
  readonly #saved: Saved;
  readonly #options: SnapshotSaverOptions;
  readonly #stopped = new AbortController();
  readonly #subscription: Disposable;
  #writing: Promise<void> | undefined;
  #isBehind = false;
  #hasFailed = false;

  constructor(saved: Saved, options: SnapshotSaverOptions) {
    this.#saved = saved;
    this.#options = options;
    this.#subscription = saved.memory.subscribe(() => {
      this.#isBehind = true;
      this.#writing ??= this.#writeSoon();
    });
  }

  async #writeSoon(): Promise<void> {
    while (this.#isBehind && !this.#stopped.signal.aborted) {
      await this.#options.clock.sleep(sidecarLimits.saveDelayMs, this.#stopped.signal);
      if (!this.#stopped.signal.aborted) await this.#write();
    }
    this.#writing = undefined;
  }

  async #write(): Promise<void> {
    const { tenant, memory } = this.#saved;
    if (memory.tenant === undefined) return;
    this.#isBehind = false;
    const { logger } = this.#options;
    try {
      const isWritten = await this.#options.files.write(memory, () => this.#footer());
      if (!isWritten) this.#isBehind = true;
      else if (this.#hasFailed) logger.info({ tenant }, 'saved the snapshot again');
      if (isWritten) this.#hasFailed = false;
    } catch (error) {
      // Tried again, whether anything changes or not, and told once: a disk that is full is mended without a word to us.
      this.#isBehind = true;
      if (!this.#hasFailed)
        logger.warn({ tenant, error }, 'cannot save the snapshot; a restart would begin with an older one');
      this.#hasFailed = true;
    }
  }

  #footer(): Footer {
    const { tenant, memory } = this.#saved;
    return {
      tenant,
      state: memory.tenant?.state ?? 'ACTIVE',
      position: memory.position,
      complete: memory.isComplete,
      services: memory.services,
      verifiedAtMs: this.#options.clock.wallMs() - this.#saved.stalenessMs(),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscription[Symbol.dispose]();
    this.#stopped.abort();
    await this.#writing;
    if (this.#isBehind) await this.#write();
  }
}
