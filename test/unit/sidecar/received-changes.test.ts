import { expect, test } from 'vitest';
import { SnapshotMemory } from '../../../sidecar/snapshot/snapshot-memory.ts';
import type { Change } from '../../../src/domain/change.ts';
import { receiveChange, ReceivedChange } from '../../../src/wire/received-change.ts';
import { receiveWatch } from '../../../src/wire/received-watch.ts';
import { encodeChange, encodeChangeBatch } from '../../../src/wire/watch-wire.ts';
import { createRoute, exampleKey } from '../../fakes/example-configuration.ts';
import { rangeOf, SidecarHistory } from '../../fakes/sidecar-history.ts';

/** The change as it arrives. */
function received(change: Change): Change {
  const bytes = Buffer.from(encodeChange(change));
  return receiveChange(bytes, 0, bytes.length);
}

test('memory keeps nothing of a change that was applied but its bytes', () => {
  const history = new SidecarHistory('acme');
  const memory = new SnapshotMemory({ bytesMax: 1_000_000 }).tenant('acme');
  memory.replace(history.snapshot());
  const committed = history.commit(createRoute(exampleKey('v1'))).map(received);
  const [change] = committed;
  const fresh = change?.subject;
  expect(change?.subject).toBe(fresh);
  memory.advance(rangeOf(committed));
  const [unit] = memory.window.unitsAfter(1);
  expect(unit?.entries.map((entry) => entry.change)).toEqual([change]);
  // Read anew each time it is asked for, so that nobody holds it.
  expect(change?.subject).not.toBe(fresh);
  expect(change?.subject).not.toBe(change?.subject);
  expect(memory.find('cart', 'production')?.routes.get('v1')?.key).toEqual(exampleKey('v1'));
});

test('a change holds on to the batch that it came in, and to nothing that was copied meanwhile', () => {
  const history = new SidecarHistory('acme');
  const changes = history.commit(createRoute(exampleKey('v1'))).map(encodeChange);
  const { event } = receiveWatch(
    Buffer.from(encodeChangeBatch(changes, { continued: false, coalescedAfter: undefined })),
  );
  const [change] = event?.$case === 'changeBatch' ? event.value.changes : [];
  if (!(change instanceof ReceivedChange)) throw new Error('a change of a route is expected');
  // Behind the tag and the length of each.
  const headBytes = 3;
  expect(change.encoded.buffer.byteLength).toBe((changes[0]?.length ?? 0) + headBytes);
});
