import type { ChangeSubject, Position } from '../../src/domain/change.ts';
import { backoffMs } from '../../src/platform/backoff.ts';
import type { Clock } from '../../src/platform/clock.ts';
import type { Logger } from '../../src/platform/logger.ts';
import { sidecarLimits } from '../limits.ts';
import type { SnapshotPart, TenantMemory } from '../snapshot/tenant-memory.ts';
import type { ChangeSink, ChangeSource, SourceEnd } from './change-source.ts';
import { nextSyncState, type SyncEvent, type SyncState } from './sync-state.ts';

export type TenantSyncOptions = {
  readonly tenant: string;
  readonly memory: TenantMemory;
  readonly source: ChangeSource;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  /** Set: the memory was filled from disk, and is as old as this, ms. */
  readonly restoredStalenessMs?: number | undefined;
};

/** Keeps one tenant's memory following its source, for as long as it lives, whatever happens to the source. */
export class TenantSync implements AsyncDisposable {
  readonly memory: TenantMemory;
  readonly #options: TenantSyncOptions;
  readonly #stopped = new AbortController();
  readonly #listeners = new Set<() => void>();
  readonly #running: Promise<void>;
  #state: SyncState = { kind: 'booting' };
  #verifiedAtMs: number;
  #mustStartOver = false;

  constructor(options: TenantSyncOptions) {
    this.#options = options;
    this.memory = options.memory;
    this.#verifiedAtMs = options.clock.monotonicMs() - (options.restoredStalenessMs ?? 0);
    if (options.restoredStalenessMs !== undefined) this.#transition({ kind: 'restored' });
    this.#running = this.#run();
  }

  get tenant(): string {
    return this.#options.tenant;
  }

  get state(): SyncState {
    return this.#state;
  }

  /** How old the memory may be, ms: since the source was last certain of it. */
  stalenessMs(): number {
    return Math.max(0, this.#options.clock.monotonicMs() - this.#verifiedAtMs);
  }

  /** Calls back when the state or the memory has changed. */
  subscribe(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  async #run(): Promise<void> {
    const { tenant, source, clock, random, logger } = this.#options;
    for (let failures = 0; !this.#stopped.signal.aborted; failures++) {
      let heard = false;
      const sink = this.#sink(() => {
        heard = true;
      });
      const after = this.#resumePoint();
      const end = await source.follow(tenant, after, sink, this.#stopped.signal);
      this.memory.unstage();
      if (this.#stopped.signal.aborted) return;
      if (heard) failures = 0;
      // Of a tenant that is not there nothing is cut off; names of strangers must not fill the log.
      if (failures === 0 && end.kind !== 'tenant_not_found')
        logger.warn(
          { tenant, reason: end.kind, error: end.error },
          'the source of changes is cut off; answering from memory',
        );
      if (end.kind === 'resume_refused') this.#mustStartOver = true;
      this.#transition(eventOf(end, clock.monotonicMs()));
      // Another question is asked at once; the same one again only later, so that a fleet does not return all together.
      const asksAnotherWay = end.kind === 'resume_refused' && after !== undefined;
      if (!asksAnotherWay)
        await clock.sleep(backoffMs(failures, sidecarLimits.reconnectBackoff, random), this.#stopped.signal);
    }
  }

  #resumePoint(): Position | undefined {
    return this.memory.tenant === undefined || this.#mustStartOver ? undefined : this.memory.position;
  }

  #sink(heard: () => void): ChangeSink {
    let cutOff: string | undefined;
    const received = (stalenessMs: number | undefined): void => {
      heard();
      if (stalenessMs !== undefined) {
        cutOff = undefined;
        // Nobody was certain of it in the future.
        this.#verifiedAtMs = this.#options.clock.monotonicMs() - Math.max(0, stalenessMs);
      }
      this.#transition(cutOff === undefined ? { kind: 'received' } : { kind: 'received_unproven', reason: cutOff });
    };
    return {
      held: this.memory,
      cutOff: (reason) => {
        cutOff = reason;
        this.#transition({ kind: 'disconnected', reason });
      },
      part: (part) => {
        this.#assertOwn(part);
        this.memory.stage(part);
      },
      snapshot: (snapshot, stalenessMs) => {
        this.#assertOwn(snapshot);
        const { tenant: before, position } = this.memory;
        // What was certain of the memory of before says nothing of this one, unless it is at least as far.
        if (before === undefined || snapshot.position.revision < position.revision)
          this.#verifiedAtMs = this.#options.clock.monotonicMs() - sidecarLimits.unknownAgeMs;
        this.memory.replace(snapshot);
        this.#mustStartOver = false;
        received(stalenessMs);
      },
      changes: (range, stalenessMs) => {
        if (range.changes.some(({ subject }) => tenantOf(subject) !== this.tenant)) throw anotherTenants();
        const held = this.memory.position.revision;
        const fresh = range.changes.filter((change) => change.revision > held);
        const after = range.coalescedAfter ?? (fresh[0]?.revision ?? held + 1) - 1;
        if (after > held) throw this.#startOver(`it skipped from revision ${held} to ${after}`);
        if (range.coalescedAfter === undefined) {
          const misplaced = fresh.find((change, index) => change.revision !== held + 1 + index);
          if (misplaced !== undefined) throw this.#startOver(`it told change ${misplaced.revision} too early`);
          const told = held + fresh.length;
          const end = Math.max(held, range.position.revision);
          if (end !== told)
            throw this.#startOver(`it told all changes up to ${told}, and says that they are up to ${end}`);
        }
        this.memory.advance(range);
        received(stalenessMs);
      },
      confirmed: ({ revision, commitId }, stalenessMs) => {
        const held = this.memory.position;
        if (revision > held.revision) throw this.#startOver(`it went on to ${revision} without telling all changes`);
        if (revision < held.revision) return;
        if (commitId !== held.commitId) throw this.#startOver('its history is another one');
        received(stalenessMs);
      },
    };
  }

  /** Answers are encoded as they come: another tenant's would be answered to callers of this one. */
  #assertOwn({ routes, policies }: SnapshotPart): void {
    const isOwn = ({ key }: { readonly key: { readonly tenant: string } }): boolean => key.tenant === this.tenant;
    if (!routes.every(isOwn) || !policies.every(isOwn)) throw anotherTenants();
  }

  /** What a source is told that cannot be followed any further: the next attempt takes a snapshot. */
  #startOver(why: string): Error {
    this.#mustStartOver = true;
    return new Error(`the source does not follow on revision ${this.memory.position.revision}: ${why}`);
  }

  #transition(event: SyncEvent): void {
    const { tenant, logger } = this.#options;
    const before = this.#state.kind;
    this.#state = nextSyncState(this.#state, event);
    if (before !== this.#state.kind) {
      const reason = this.#state.kind === 'stale' ? { reason: this.#state.reason } : {};
      const { revision } = this.memory.position;
      logger.info({ tenant, from: before, to: this.#state.kind, ...reason, revision }, 'synchronisation');
    }
    for (const listener of this.#listeners) listener();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }
}

function anotherTenants(): Error {
  return new Error('the source told of another tenant than it was asked for');
}

function tenantOf(subject: ChangeSubject): string {
  switch (subject.kind) {
    case 'tenant':
      return subject.after.tenant;
    case 'route':
      return subject.after.key.tenant;
    case 'traffic_policy':
      return subject.key.tenant;
  }
}

function eventOf(end: SourceEnd, atMs: number): SyncEvent {
  if (end.kind === 'tenant_not_found') return { kind: 'tenant_not_found', atMs };
  return { kind: 'disconnected', reason: end.error instanceof Error ? end.error.message : end.kind };
}
