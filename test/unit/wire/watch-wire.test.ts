import { expect, it } from 'vitest';
import { WatchResponse } from '../../../src/gen/trafficmanager/v1/watch_service.ts';
import { frameOf, frameStart } from '../../../src/platform/grpc/frame.ts';
import { changeToWire } from '../../../src/wire/change-wire.ts';
import {
  encodeChange,
  encodeChangeBatch,
  encodePosition,
  encodeProgress,
  encodeSnapshotChunk,
  encodeSnapshotEnd,
  encodeStaleness,
} from '../../../src/wire/watch-wire.ts';
import { FakeWatchedTenant } from '../../fakes/fake-watched-tenant.ts';

const position = { revision: 2 ** 40 + 7, commitId: 'commit' };

function tenant(): FakeWatchedTenant {
  const made = new FakeWatchedTenant('acme', { bounds: { changesMax: 10, bytesMax: 1e6 }, monotonicMs: () => 0 });
  made.commit(
    { kind: 'route', service: 'cart', version: 'v1', url: 'grpc://a:1' },
    { kind: 'policy', service: 'cart', version: 'v1', url: 'any' },
  );
  return made;
}

const decode = (...parts: readonly Uint8Array[]): WatchResponse => WatchResponse.decode(Buffer.concat(parts));

it('puts a message together from parts that are encoded apart', () => {
  const { log } = tenant();
  const batch = encodeChangeBatch(log.map(encodeChange), { continued: true, coalescedAfter: 0 });
  expect(decode(encodePosition(position), batch, encodeStaleness(12.3))).toEqual({
    revision: BigInt(position.revision),
    commitId: 'commit',
    event: { $case: 'changeBatch', value: { changes: log.map(changeToWire), continued: true, coalescedAfter: 0n } },
    stalenessMs: 13n,
  });
});

it('leaves out what is not said', () => {
  const batch = encodeChangeBatch([], { continued: false, coalescedAfter: undefined });
  expect(decode(encodePosition({ revision: 0, commitId: '' }), batch)).toEqual({
    revision: 0n,
    commitId: '',
    event: { $case: 'changeBatch', value: { changes: [], continued: false, coalescedAfter: undefined } },
    stalenessMs: undefined,
  });
});

it('encodes snapshots and progress', () => {
  const { state } = tenant();
  const group = state.find('cart', 'production');
  const chunk = decode(
    encodePosition(position),
    encodeSnapshotChunk([...(group?.routes.values() ?? [])], group?.policy ? [group.policy] : []),
  );
  expect(chunk.event).toMatchObject({
    $case: 'snapshotChunk',
    value: { last: false, routes: [{ etag: 'etag' }], trafficPolicies: [{ defaultVersion: 'v1' }] },
  });
  expect(decode(encodePosition(position), encodeSnapshotEnd()).event).toEqual({
    $case: 'snapshotChunk',
    value: { routes: [], trafficPolicies: [], last: true },
  });
  expect(decode(encodePosition(position), encodeProgress(), encodeStaleness(0))).toMatchObject({
    event: { $case: 'progress', value: {} },
    stalenessMs: 0n,
  });
});

it('frames a message with its length, also when part of it is sent from elsewhere', () => {
  expect([...frameOf(Buffer.from([1, 2]), Buffer.from([3]))]).toEqual([0, 0, 0, 0, 3, 1, 2, 3]);
  expect([...frameStart([Buffer.from([1, 2])], 256)]).toEqual([0, 0, 0, 1, 2, 1, 2]);
});
