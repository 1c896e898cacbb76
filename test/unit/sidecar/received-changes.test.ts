import { expect, test } from 'vitest';
import { SnapshotMemory } from '../../../sidecar/snapshot/snapshot-memory.ts';
import type { Change } from '../../../src/domain/change.ts';
import { receiveChange } from '../../../src/wire/received-change.ts';
import { encodeChange } from '../../../src/wire/watch-wire.ts';
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
