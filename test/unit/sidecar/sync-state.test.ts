import { expect, test } from 'vitest';
import { nextSyncState, type SyncEvent, type SyncState } from '../../../sidecar/sync/sync-state.ts';

const states = {
  booting: { kind: 'booting' },
  live: { kind: 'live' },
  stale: { kind: 'stale', reason: 'earlier' },
  absent: { kind: 'absent', sinceMs: 1 },
} as const satisfies Record<SyncState['kind'], SyncState>;

const events = {
  received: { kind: 'received' },
  received_unproven: { kind: 'received_unproven', reason: 'cut off' },
  restored: { kind: 'restored' },
  disconnected: { kind: 'disconnected', reason: 'cut off' },
  tenant_not_found: { kind: 'tenant_not_found', atMs: 7 },
} as const satisfies Record<SyncEvent['kind'], SyncEvent>;

const live: SyncState = { kind: 'live' };
const booting: SyncState = { kind: 'booting' };
const cutOff: SyncState = { kind: 'stale', reason: 'cut off' };
const fromDisk: SyncState = { kind: 'stale', reason: 'read from disk, not confirmed by the source yet' };
const lost: SyncState = { kind: 'stale', reason: 'the source has lost this tenant' };
const absent: SyncState = { kind: 'absent', sinceMs: 7 };

/** The types make it exhaustive: a new state or event does not compile without its rows here. */
const table: Record<SyncState['kind'], Record<SyncEvent['kind'], SyncState>> = {
  booting: {
    received: live,
    received_unproven: cutOff,
    restored: fromDisk,
    disconnected: booting,
    tenant_not_found: absent,
  },
  live: { received: live, received_unproven: cutOff, restored: fromDisk, disconnected: cutOff, tenant_not_found: lost },
  stale: {
    received: live,
    received_unproven: cutOff,
    restored: fromDisk,
    disconnected: cutOff,
    tenant_not_found: lost,
  },
  // What was said before the source went out of reach is not known any more.
  absent: {
    received: live,
    received_unproven: cutOff,
    restored: fromDisk,
    disconnected: booting,
    tenant_not_found: absent,
  },
};

const rows = Object.entries(table).flatMap(([from, row]) =>
  Object.entries(row).map(([event, to]) => ({
    from: states[from as SyncState['kind']],
    event: events[event as SyncEvent['kind']],
    to,
  })),
);

test.each(rows)('$from.kind, $event.kind: $to.kind', ({ from, event, to }) => {
  expect(nextSyncState(from, event)).toEqual(to);
});
