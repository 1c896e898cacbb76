import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import {
  TrafficManagerError,
  type Change,
  type TrafficManagerClient,
  type WatchResponse,
} from '../../../src/client/index.ts';
import { pathOfChange, type TenantLog } from './tenant-log.ts';

/** A place in a tenant's history that a watch can go on from. */
type Position = { readonly revision: bigint; readonly commitId: string };

/** One stream, from where it was asked for. */
type Stream = { readonly after: Position | undefined; readonly messages: WatchResponse[] };

export type WatchOptions = {
  readonly tenant: string;
  readonly replicas: readonly TrafficManagerClient[];
  readonly random: () => number;
  /** Where it begins; undefined: with a snapshot. */
  readonly after: bigint | undefined;
  readonly everyChange: boolean;
  /** Messages after which it leaves its stream on purpose, and resumes on a replica by chance: about so many; undefined: never. */
  readonly cutAfter: number | undefined;
  /** Awaited before each message is taken: a slow reader's pace. */
  readonly pace?: () => Promise<void>;
  /** Its own pause before it resumes a stream that broke; undefined: no stream may break. */
  readonly resumePauseMs: number | undefined;
};

/** A watcher that resumes whatever happens, and keeps all that it was sent. */
export class RecordedWatch {
  readonly options: WatchOptions;
  readonly streams: Stream[] = [];
  readonly #end = new AbortController();
  #position: Position | undefined;
  #last: bigint | undefined;
  #broken = 0;

  constructor(options: WatchOptions) {
    this.options = options;
    this.#position = options.after === undefined ? undefined : { revision: options.after, commitId: '' };
  }

  get broken(): number {
    return this.#broken;
  }

  /** Makes it end at a revision, or at once if it is there. */
  endAt(revision: number): void {
    this.#last = BigInt(revision);
    if ((this.#position?.revision ?? -1n) >= this.#last) this.#end.abort();
  }

  async run(): Promise<void> {
    const { resumePauseMs } = this.options;
    while (!this.#isThere()) {
      try {
        await this.#stream();
      } catch (error) {
        if (this.#end.signal.aborted) return;
        if (resumePauseMs === undefined || !(error instanceof TrafficManagerError) || error.code !== 'UNAVAILABLE')
          throw error;
        this.#broken += 1;
        await delay(resumePauseMs);
      }
    }
  }

  #isThere(): boolean {
    return this.#last !== undefined && (this.#position?.revision ?? -1n) >= this.#last;
  }

  async #stream(): Promise<void> {
    const { tenant, replicas, random, everyChange, cutAfter, pace } = this.options;
    const client = replicas[Math.floor(random() * replicas.length)];
    assert(client !== undefined);
    const stream: Stream = { after: this.#position, messages: [] };
    this.streams.push(stream);
    const resume =
      this.#position === undefined
        ? {}
        : { afterRevision: this.#position.revision, afterCommitId: this.#position.commitId };
    const progressInterval = { seconds: 0n, nanos: 200_000_000 };
    const signal = this.#end.signal;
    const cut = cutAfter === undefined ? Infinity : 1 + Math.floor(random() * cutAfter * 2);
    for await (const message of client.watch({ tenant, ...resume, progressInterval, everyChange }, { signal })) {
      stream.messages.push(message);
      const { event, revision, commitId } = message;
      const unfinished =
        (event?.$case === 'snapshotChunk' && !event.value.last) ||
        (event?.$case === 'changeBatch' && event.value.continued);
      if (!unfinished) this.#position = { revision, commitId };
      if (this.#isThere() || stream.messages.length >= cut) return;
      await pace?.();
    }
  }

  /** Throws where what it was sent is not what was committed: each change exactly once, in order, and whole transactions. */
  check(log: TenantLog): { readonly changes: number; readonly snapshots: number; readonly coalesced: number } {
    const seen = { changes: 0, snapshots: 0, coalesced: 0 };
    for (const { after, messages } of this.streams) {
      let held = after === undefined ? undefined : Number(after.revision);
      let parts: Change[] = [];
      let chunks: { routes: unknown[]; policies: unknown[] } = { routes: [], policies: [] };
      for (const { revision: wire, commitId, event } of messages) {
        const revision = Number(wire);
        if (event?.$case === 'snapshotChunk') {
          assert.equal(held, undefined, 'a snapshot in the middle of a stream');
          chunks.routes.push(...event.value.routes);
          chunks.policies.push(...event.value.trafficPolicies);
          if (!event.value.last) continue;
          expectSnapshot(log, revision, chunks);
          chunks = { routes: [], policies: [] };
          seen.snapshots += 1;
        } else if (event?.$case === 'changeBatch') {
          assert(held !== undefined, 'changes before a snapshot');
          parts.push(...event.value.changes);
          if (event.value.continued) {
            assert.equal(revision, held, 'a part moves the resume point');
            continue;
          }
          let wanted = log.changes.slice(held, revision);
          if (event.value.coalescedAfter !== undefined) {
            assert(!this.options.everyChange, 'coalesced, though every change was asked for');
            assert.equal(Number(event.value.coalescedAfter), held);
            wanted = newestOf(wanted);
            seen.coalesced += 1;
          }
          assert.deepEqual(parts, wanted, `what came after ${held}, up to ${revision}`);
          seen.changes += parts.length;
          parts = [];
        } else {
          assert.equal(event?.$case, 'progress');
          assert.equal(revision, held, 'progress past changes that were not sent');
        }
        assert(revision >= (held ?? 0), `time goes back from ${held} to ${revision}`);
        assert(log.isBoundary(revision), `resume point ${revision} is in the middle of a transaction`);
        assert.equal(commitId, log.change(revision).commitId, `the commit id at ${revision}`);
        held = revision;
      }
    }
    const last = this.#position?.revision;
    assert.equal(Number(last), log.head, 'it saw everything');
    return seen;
  }
}

function expectSnapshot(log: TenantLog, revision: number, chunks: { routes: unknown[]; policies: unknown[] }): void {
  assert(log.isBoundary(revision), `a snapshot of ${revision}, in the middle of a transaction`);
  const { routes, policies } = log.at(revision);
  const live = [...routes.values()].filter(({ state }) => state !== 'DELETED').map(({ wire }) => wire);
  assert.deepEqual(byKey(chunks.routes), byKey(live), `the routes of the snapshot of ${revision}`);
  const kept = [...policies.values()].map(({ wire }) => wire);
  assert.deepEqual(byKey(chunks.policies), byKey(kept), `the policies of the snapshot of ${revision}`);
}

function byKey(resources: readonly unknown[]): unknown[] {
  const name = (resource: unknown): string => JSON.stringify((resource as { key: unknown }).key);
  return resources.toSorted((left, right) => (name(left) < name(right) ? -1 : 1));
}

function newestOf(changes: readonly Change[]): Change[] {
  const newest = new Map(changes.map((change) => [pathOfChange(change), change]));
  return changes.filter((change) => newest.get(pathOfChange(change)) === change);
}
