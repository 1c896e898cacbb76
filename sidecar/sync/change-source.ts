import type { Change, Position } from '../../src/domain/change.ts';
import type { Tenant } from '../../src/domain/tenant.ts';
import type { ChangeRange, HeldSnapshot, SnapshotPart } from '../snapshot/tenant-memory.ts';

/** What a follower holds at the moment, for sources that prove what they tell. */
export interface HeldConfiguration {
  /** Absent until there was a snapshot. */
  readonly tenant: Tenant | undefined;
  readonly position: Position;
  /** The digest (as in StreamMeta) of what would be held after these changes; undefined: unknown, because not all fits in memory. */
  digestAfter(changes: readonly Change[]): string | undefined;
}

/**
 * What a source tells its follower, in this order: a snapshot unless it resumes, then changes and confirmations. Throws when
 * what it is told does not follow on what it holds; the source then ends as `disconnected`.
 * `stalenessMs`: how long before the call the source was certain of what it tells; undefined: it knows of more, which follows.
 */
export type ChangeSink = {
  readonly held: HeldConfiguration;
  /** A part of a snapshot, in the order of its arrival: it counts with {@link snapshot}, and is forgotten when that does not come. */
  part(part: SnapshotPart): void;
  /** The whole configuration, complete: what was told in parts, and this. */
  snapshot(snapshot: HeldSnapshot, stalenessMs: number | undefined): void;
  /** The next changes, always all that belongs together. May repeat what was told before. */
  changes(range: ChangeRange, stalenessMs: number | undefined): void;
  /** Nothing is missing up to this position. */
  confirmed(position: Position, stalenessMs: number | undefined): void;
  /**
   * The source goes on, but whoever could say how fresh its tidings are is out of reach: until it tells of something with a
   * staleness again, what it tells is applied and proves nothing.
   */
  cutOff(reason: string): void;
};

/** Why a source stopped. */
export type SourceEnd =
  /** Out of reach, cut off, or too slow: try again after the same position. */
  | { readonly kind: 'disconnected'; readonly error: unknown }
  /** It cannot go on after that position: try again without one. */
  | { readonly kind: 'resume_refused'; readonly error: unknown }
  /** It says that there is no such tenant. */
  | { readonly kind: 'tenant_not_found'; readonly error: unknown };

/**
 * Where a sidecar's configuration comes from. One call follows one tenant until the source ends it or the signal fires; it
 * never rejects, and calls the sink only before it resolves.
 */
export interface ChangeSource {
  follow(tenant: string, after: Position | undefined, sink: ChangeSink, signal: AbortSignal): Promise<SourceEnd>;
}
