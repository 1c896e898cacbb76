import type { DomainError } from '../domain/domain-error.ts';
import type { Due } from '../platform/deadline-wheel.ts';
import type { FrameSink } from '../platform/grpc/handlers.ts';
import type { ScopeFeed } from './scope-feed.ts';
import type { Snapshot } from './snapshot-pieces.ts';
import type { Cursor } from './watch-step.ts';

/** What a watcher gets next. */
export type WatcherPlace =
  /** A chunk of a snapshot. */
  | {
      readonly kind: 'snapshot';
      readonly snapshot: Snapshot;
      /** When the snapshot was certainly all there was. */
      readonly trueAtMs: number;
      readonly piece: number;
      readonly chunk: number;
    }
  /** What comes after a revision that memory may not reach: from the log, until it does. */
  | { readonly kind: 'catching_up'; readonly cursor: Cursor }
  /** What comes after, from memory. */
  | { readonly kind: 'live'; readonly cursor: Cursor };

/** What a watcher waits for. */
export type WatcherState =
  /** A change: it has everything. */
  | { readonly kind: 'idle' }
  /** Its turn. */
  | { readonly kind: 'ready' }
  /** Its transport, which is full. */
  | { readonly kind: 'full'; readonly sinceMs: number }
  /** A page of the log. */
  | { readonly kind: 'reading' }
  | { readonly kind: 'ended' };

export const idle: WatcherState = { kind: 'idle' };
export const ready: WatcherState = { kind: 'ready' };
export const reading: WatcherState = { kind: 'reading' };
export const ended: WatcherState = { kind: 'ended' };

/** One watcher: its place, and where to send to. About 200 bytes; everything else is shared or in its transport. */
export type Watcher = Due & {
  readonly sink: FrameSink;
  readonly feed: ScopeFeed;
  readonly everyChange: boolean;
  readonly progressIntervalMs: number;
  /** Changes up to here were committed before it came, and are never coalesced for it. */
  readonly joinedAt: number;
  /** It has been silent, or stuck, for as long as it may. */
  readonly onDue: () => void;
  /** The one way to end: with an error to tell the client, or undefined when the client has gone. */
  readonly end: (error: DomainError | undefined) => void;
  place: WatcherPlace;
  state: WatcherState;
  /** Whether its transport was full since it last had everything: only then can it be blamed for being behind. */
  heldUp: boolean;
  /** When it was last sent anything. */
  sentAtMs: number;
};
