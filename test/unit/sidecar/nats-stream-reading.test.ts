import { expect, test } from 'vitest';
import type { Beacon, StreamHead } from '../../../sidecar/sync/nats-stream-messages.ts';
import { StreamReading } from '../../../sidecar/sync/nats-stream-reading.ts';
import type { Change } from '../../../src/domain/change.ts';
import {
  createRoute,
  exampleKey,
  exampleTenantRecord,
  moveRoute,
  setDefaultVersion,
} from '../../fakes/example-configuration.ts';
import { SidecarHistory } from '../../fakes/sidecar-history.ts';

const key = exampleKey();

function beaconOf(history: SidecarHistory, fields: Partial<Beacon> = {}): Beacon {
  return { epoch: 'e1', position: history.position, digest: history.state.digest.toString(), term: 1, ...fields };
}

function headOf(history: SidecarHistory, fields: Partial<StreamHead> = {}): StreamHead {
  const { tenant = exampleTenantRecord(), digest } = history.state;
  const counts = { resourceCount: digest.count, subjectCount: digest.count, purgedRevision: 0 };
  return { ...beaconOf(history), ...counts, tenant, sequence: 100, ...fields };
}

/** A history of two routes and a policy, and all of its changes. */
function start(): { history: SidecarHistory; changes: readonly Change[] } {
  const history = new SidecarHistory('acme');
  const changes = history.commit(createRoute(key), createRoute(exampleKey('v2')), setDefaultVersion(key, 'v2'));
  return { history, changes };
}

function read(head: StreamHead, changes: readonly Change[]): StreamReading {
  const reading = new StreamReading(head);
  for (const [index, change] of changes.entries()) reading.addChange(change, index + 1);
  return reading;
}

test('all of it, and nothing else, is proven by the head of the stream', () => {
  const { history, changes } = start();
  const head = headOf(history);
  const reading = read(head, changes);
  expect(reading.provenBy()).toBe(head);
  const { routes, policies, position } = reading.snapshotAt(head);
  const whole = history.snapshot();
  expect({ routes, policies, position }).toEqual({
    ...whole,
    routes: expect.arrayContaining([...whole.routes]) as unknown,
  });
  expect(routes).toHaveLength(2);
});

test('an empty stream, and one with fewer entries, prove nothing', () => {
  const { history, changes } = start();
  expect(read(headOf(history), []).provenBy()).toBeUndefined();
  expect(read(headOf(history), changes.slice(1)).provenBy()).toBeUndefined();
});

test('a tombstone is no entry', () => {
  const { history, changes } = start();
  const deleted = history.commit({ kind: 'delete_route', key, etag: '' });
  const reading = read(headOf(history), [...changes, ...deleted]);
  expect(reading.provenBy()?.position).toEqual(history.position);
  expect(reading.snapshotAt(beaconOf(history)).routes.map(({ key: { version } }) => version)).toEqual(['v2']);
});

test('an older change of a resource changes nothing, however late it comes', () => {
  const { history, changes } = start();
  const moved = history.commit(moveRoute(key, 'grpc://moved:1'));
  const reading = read(headOf(history), [...changes, ...moved, ...changes]);
  expect(reading.provenBy()?.position).toEqual(history.position);
});

test('what was written while it was read is proven by what was told meanwhile', () => {
  const { history, changes } = start();
  const reading = read(headOf(history), changes);
  const first = history.commit(moveRoute(key, 'grpc://first:1'));
  const toldFirst = { ...beaconOf(history), after: 4, changes: first, continued: false };
  const second = history.commit(moveRoute(exampleKey('v2'), 'grpc://second:1'));
  const toldSecond = { ...beaconOf(history), after: 5, changes: second, continued: false };
  // The stream had the second already, and not the first.
  for (const change of second) reading.addChange(change, 5);
  expect(reading.provenBy()).toBeUndefined();
  reading.addUpdate(toldFirst);
  expect(reading.provenBy()).toBeUndefined();
  reading.addUpdate(toldSecond);
  expect(reading.provenBy()?.position).toEqual(history.position);
});

test('beacons of another epoch prove nothing, and a head of another epoch ends it', () => {
  const { history, changes } = start();
  const behind = headOf(new SidecarHistory('acme'));
  const reading = read(behind, changes);
  reading.addBeacon(beaconOf(history, { epoch: 'e2' }));
  reading.addUpdate({ ...beaconOf(history, { epoch: 'e2' }), after: 4, changes: [], continued: false });
  expect(reading.provenBy()).toBeUndefined();
  expect(reading.isOfAnotherEpoch).toBe(false);
  reading.addHead(headOf(history, { epoch: 'e2' }));
  expect(reading.isOfAnotherEpoch).toBe(true);
});

test('a head counts besides: an equal digest of another number of entries proves nothing', () => {
  const { history, changes } = start();
  expect(read(headOf(history, { resourceCount: 4 }), changes).provenBy()).toBeUndefined();
});

test('it tells the newest of what came after a revision, oldest first, and how far it read', () => {
  const { history, changes } = start();
  const moved = history.commit(moveRoute(key, 'grpc://moved:1'));
  const reading = read(headOf(history, { sequence: 2 }), [...changes, ...moved]);
  expect(reading.changesAfter(2).map(({ revision }) => revision)).toEqual([3, 4, 5]);
  expect(reading.sequence).toBe(4);
  reading.addHead(headOf(history, { sequence: 9 }));
  expect(reading.sequence).toBe(9);
});

test('the tenant is as of the newest that was read about it', () => {
  const { history, changes } = start();
  const reading = read(headOf(history), changes);
  const deleted = history.commit({ kind: 'delete_tenant', tenant: 'acme', etag: '' });
  reading.addUpdate({ ...beaconOf(history), after: 4, changes: deleted, continued: false });
  expect(reading.tenant.state).toBe('DELETED');
  expect(reading.snapshotAt(beaconOf(history)).tenant).toMatchObject({ state: 'DELETED', revision: 5 });
  reading.addHead(headOf(start().history));
  expect(reading.tenant.state).toBe('DELETED');
});
