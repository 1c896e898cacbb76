import type { ChangeWindow } from '../domain/change-window.ts';
import type { Change, Position } from '../domain/change.ts';
import type { CallContext } from '../platform/grpc/handlers.ts';
import type { WatchedState } from './snapshot-pieces.ts';

/** A tenant in memory, as a watch sees it. One object for as long as it is watched. */
export interface WatchedTenant {
  /** Another object after memory had to be taken anew: what a watcher has seen may then not be part of it. */
  readonly window: ChangeWindow;
  readonly position: Position;
  /** The configuration at `position`. */
  readonly state: WatchedState;
  /** How long ago memory was certainly all there is, ms. */
  stalenessMs(): number;
  /** Calls back when memory has moved, or was taken anew. */
  subscribe(listener: () => void): Disposable;
}

/** Where watches come from; the control plane and the sidecar each have one. */
export interface WatchSource {
  /**
   * The tenant, holding everything up to `revision` if that exists at all. 0: a new watch, which a deleted
   * tenant refuses. `services`: what the watch is about, none means all. Rejects with TENANT_NOT_FOUND, or with UNAVAILABLE reasons, also when it cannot tell whether the revision exists.
   */
  open(tenant: string, revision: number, context: CallContext, services?: readonly string[]): Promise<WatchedTenant>;
  /**
   * The tenant as memory has it, deleted or not, to see where it is. Rejects with TENANT_NOT_FOUND, or with UNAVAILABLE reasons
   * when nothing is held of it.
   */
  find(tenant: string, context: CallContext): Promise<WatchedTenant>;
  /** Changes that left the window: from a revision on, oldest first, whole transactions; empty when they are not kept here. */
  older(tenant: string, from: number, limit: number): Promise<readonly Change[]>;
}
