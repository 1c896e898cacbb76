/** Where a tenant's synchronisation is. */
export type SyncState =
  /** No snapshot yet. */
  | { readonly kind: 'booting' }
  /** Holding a snapshot, and connected to the source. */
  | { readonly kind: 'live' }
  /** Holding a snapshot that may age: the source is cut off. */
  | { readonly kind: 'stale'; readonly reason: string }
  /** The source says that there is no such tenant, and there never was a snapshot. */
  | { readonly kind: 'absent'; readonly sinceMs: number };

export type SyncEvent =
  | { readonly kind: 'received' }
  /** Something to hold, from a source that cannot say how fresh it is. */
  | { readonly kind: 'received_unproven'; readonly reason: string }
  /** A snapshot was read from disk. */
  | { readonly kind: 'restored' }
  | { readonly kind: 'disconnected'; readonly reason: string }
  | { readonly kind: 'tenant_not_found'; readonly atMs: number };

/** The one transition function. A snapshot once held is never given up: "not found" and silence make it stale, not gone. */
export function nextSyncState(state: SyncState, event: SyncEvent): SyncState {
  switch (event.kind) {
    case 'received':
      return { kind: 'live' };
    case 'received_unproven':
      return { kind: 'stale', reason: event.reason };
    case 'restored':
      return { kind: 'stale', reason: 'read from disk, not confirmed by the source yet' };
    case 'disconnected':
      return state.kind === 'live' || state.kind === 'stale'
        ? { kind: 'stale', reason: event.reason }
        : { kind: 'booting' };
    case 'tenant_not_found':
      return state.kind === 'live' || state.kind === 'stale'
        ? { kind: 'stale', reason: 'the source has lost this tenant' }
        : { kind: 'absent', sinceMs: event.atMs };
  }
}
