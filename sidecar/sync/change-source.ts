import type { Change, Position } from '../../src/domain/change.ts';
import type { HeldSnapshot } from '../snapshot/snapshot-memory.ts';

/**
 * What a source tells its follower, in this order: a snapshot unless it resumes, then changes and confirmations. Throws when
 * what it is told does not follow on what it holds; the source then ends as `disconnected`.
 */
export type ChangeSink = {
  /** The whole configuration, complete. */
  snapshot(snapshot: HeldSnapshot, stalenessMs: number): void;
  /** The next changes, whole transactions, oldest first. May repeat what was told before. */
  changes(changes: readonly Change[], stalenessMs: number): void;
  /** Nothing is missing up to this position. */
  confirmed(position: Position, stalenessMs: number): void;
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
 * never rejects, and calls the sink only before it resolves. `stalenessMs` is how long before the call of the sink the
 * source was certain of what it tells.
 */
export interface ChangeSource {
  follow(tenant: string, after: Position | undefined, sink: ChangeSink, signal: AbortSignal): Promise<SourceEnd>;
}
