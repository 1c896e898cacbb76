import { isDeepStrictEqual } from 'node:util';
import { expect } from 'vitest';
import { resourceOf, type Change, type ChangeSubject, type Position } from '../../src/domain/change.ts';
import type { Change as WireChange } from '../../src/gen/trafficmanager/v1/change.ts';
import type { SnapshotChunk, WatchResponse } from '../../src/gen/trafficmanager/v1/watch_service.ts';
import { changeToWire } from '../../src/wire/change-wire.ts';
import { routeToWire } from '../../src/wire/route-wire.ts';
import { policyToWire } from '../../src/wire/traffic-policy-wire.ts';

export type WatchClientOptions = {
  /** The tenant's log, which goes on to grow. After a restore it is another one. */
  readonly log: readonly Change[];
  /** Where it resumes; undefined: it asks for a snapshot. */
  readonly after: Position | undefined;
  /** What it had seen of that snapshot's tenant elsewhere: a snapshot must not be older. */
  readonly revisionMin: number;
  readonly services: readonly string[];
  readonly everyChange: boolean;
};

/**
 * What WatchService promises, from the client's side and as simply as it can be said: it holds each message against the log,
 * and throws where a promise is broken.
 */
export class WatchClientModel {
  readonly #options: WatchClientOptions;
  #chunks: SnapshotChunk[] = [];
  #parts: WireChange[] = [];
  #rangeAfter: bigint | undefined;
  /** Up to where it has everything; undefined until its snapshot is complete. */
  position: Position | undefined;
  readonly seen = { coalesced: 0, continued: 0, progress: 0, changes: 0 };

  constructor(options: WatchClientOptions) {
    this.#options = options;
    this.position = options.after;
  }

  take(message: WatchResponse): void {
    const revision = Number(message.revision);
    // Time never goes back.
    expect(revision).toBeGreaterThanOrEqual(this.position?.revision ?? this.#options.revisionMin);
    switch (message.event?.$case) {
      case 'snapshotChunk':
        return this.#takeChunk(message.event.value, { revision, commitId: message.commitId });
      case 'changeBatch': {
        const { changes, continued, coalescedAfter } = message.event.value;
        if (this.#parts.length > 0) expect(coalescedAfter).toBe(this.#rangeAfter);
        this.#rangeAfter = coalescedAfter;
        this.#parts.push(...changes);
        if (continued) {
          this.seen.continued++;
          // A stream that breaks now resumes with the whole: of what came before it nothing is missing.
          return this.expectNothingBetween(revision);
        }
        this.#takeRange({ revision, commitId: message.commitId });
        return;
      }
      case 'progress':
        this.seen.progress++;
        expect(this.#parts).toEqual([]);
        this.expectNothingBetween(revision);
        return this.#moveTo({ revision, commitId: message.commitId });
      case undefined:
        throw new Error('a message without an event');
    }
  }

  /** The client has everything up to this revision, though no message may have said so. */
  expectNothingBetween(revision: number): void {
    expect(revision).toBeGreaterThanOrEqual(this.#held().revision);
    expect(this.#wanted(this.#held().revision, revision).map((change) => change.revision)).toEqual([]);
  }

  #held(): Position {
    if (this.position === undefined) throw new Error('changes before the snapshot was complete');
    return this.position;
  }

  #takeChunk(chunk: SnapshotChunk, position: Position): void {
    expect(this.position).toBeUndefined();
    this.#chunks.push(chunk);
    if (!chunk.last) return;
    const named = <Resource extends { key?: object | undefined }>(resources: readonly Resource[]) =>
      resources
        .map((resource) => [JSON.stringify(resource.key), resource] as const)
        .toSorted(([left], [right]) => (left < right ? -1 : 1));
    const wanted = this.#stateAt(position.revision);
    expect(named(this.#chunks.flatMap(({ routes }) => routes))).toEqual(
      named(
        wanted.flatMap((subject) => (subject.kind === 'route' && isLive(subject) ? [routeToWire(subject.after)] : [])),
      ),
    );
    expect(named(this.#chunks.flatMap(({ trafficPolicies }) => trafficPolicies))).toEqual(
      named(
        wanted.flatMap((subject) =>
          subject.kind === 'traffic_policy' && subject.after !== undefined ? [policyToWire(subject.after)] : [],
        ),
      ),
    );
    this.#chunks = [];
    this.#moveTo(position);
  }

  /** Everything between two resume points is here: each change once and in order, or of a coalesced range the newest. */
  #takeRange(position: Position): void {
    const from = this.#held().revision;
    let wanted = this.#wanted(from, position.revision);
    if (this.#rangeAfter !== undefined) {
      this.seen.coalesced++;
      expect(this.#options.everyChange).toBe(false);
      expect(Number(this.#rangeAfter)).toBeGreaterThanOrEqual(from);
      this.expectNothingBetween(Number(this.#rangeAfter));
      if (this.#options.services.length === 0) expect(Number(this.#rangeAfter)).toBe(from);
      wanted = newestOf(wanted);
    }
    this.seen.changes += wanted.length;
    expect(this.#parts.map(({ revision }) => Number(revision))).toEqual(wanted.map(({ revision }) => revision));
    const wantedParts = wanted.map(changeToWire);
    // `toEqual` says what differs, and takes ten times as long to find that nothing does.
    if (!isDeepStrictEqual(this.#parts, wantedParts)) expect(this.#parts).toEqual(wantedParts);
    this.#parts = [];
    this.#rangeAfter = undefined;
    this.#moveTo(position);
  }

  /** A resume point is the end of a transaction: nothing that was committed together is split. */
  #moveTo(position: Position): void {
    const change = this.#options.log[position.revision - 1];
    expect(position.commitId).toBe(change?.commitId ?? '');
    expect(change?.commitRevision ?? 0).toBe(position.revision);
    this.position = position;
  }

  #wanted(after: number, upTo: number): Change[] {
    return this.#options.log.slice(after, upTo).filter(({ subject }) => this.#wants(subject));
  }

  #wants(subject: ChangeSubject): boolean {
    const { services } = this.#options;
    if (services.length === 0 || subject.kind === 'tenant') return true;
    return services.includes(subject.kind === 'route' ? subject.after.key.service : subject.key.service);
  }

  #stateAt(revision: number): ChangeSubject[] {
    return newestOf(this.#wanted(0, revision)).map(({ subject }) => subject);
  }
}

function newestOf(changes: readonly Change[]): Change[] {
  const newest = new Map(changes.map((change) => [resourceOf(change.subject), change]));
  return changes.filter((change) => newest.get(resourceOf(change.subject)) === change);
}

function isLive(subject: ChangeSubject & { kind: 'route' }): boolean {
  return subject.after.lifecycle.state !== 'DELETED';
}
