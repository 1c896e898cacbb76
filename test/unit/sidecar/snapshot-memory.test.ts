import { expect, test } from 'vitest';
import { createGroup } from '../../../sidecar/snapshot/group.ts';
import { Slabs } from '../../../sidecar/snapshot/slabs.ts';
import { SnapshotMemory } from '../../../sidecar/snapshot/snapshot-memory.ts';
import type { TenantMemory } from '../../../sidecar/snapshot/tenant-memory.ts';
import { createRoute, exampleKey, moveRoute } from '../../fakes/example-configuration.ts';
import { coalescedRangeOf, rangeOf, SidecarHistory } from '../../fakes/sidecar-history.ts';

const keyOf = (service: string, tenant = 'acme') => exampleKey('v1', { service, tenant });

function historyOf(tenant: string, services: readonly string[]): SidecarHistory {
  const history = new SidecarHistory(tenant);
  for (const service of services) history.commit(createRoute(keyOf(service, tenant)));
  return history;
}

/** Room for so many groups of one example route each. */
function roomFor(groups: number): number {
  const group = createGroup(historyOf('acme', ['a']).snapshot().routes, undefined, 1);
  group.settle(new Slabs(), { service: 'a', environment: 'production' });
  return groups * group.bytes;
}

test('before its first snapshot a tenant knows nothing', () => {
  const memory = new SnapshotMemory({ bytesMax: roomFor(2) }).tenant('acme');
  expect(memory).toMatchObject({ tenant: undefined, isComplete: false, position: { revision: 0 } });
});

test('a snapshot that fits is complete, and so is the next one that takes its place', () => {
  const memory = new SnapshotMemory({ bytesMax: roomFor(3) });
  const acme = memory.tenant('acme');
  acme.replace(historyOf('acme', ['a', 'b', 'c']).snapshot());
  expect(acme.isComplete).toBe(true);
  // While both stand there is no room for all of the new one: the old one must not push it out.
  acme.replace(historyOf('acme', ['d', 'e', 'a']).snapshot());
  expect(acme.isComplete).toBe(true);
  const held = [...acme.all()].map(({ routes }) => routes.get('v1')?.key.service);
  expect(new Set(held)).toEqual(new Set(['a', 'd', 'e']));
  expect(acme.find('b', 'production')).toBeUndefined();
  expect(memory.bytes).toBe(roomFor(3));
});

test('what does not fit is unknown, not absent', () => {
  const memory = new SnapshotMemory({ bytesMax: roomFor(2) });
  const acme = memory.tenant('acme');
  acme.replace(historyOf('acme', ['a', 'b', 'c']).snapshot());
  expect(acme.isComplete).toBe(false);
  expect([...acme.all()]).toHaveLength(2);
});

test('the group that was asked for last is the last to go', () => {
  const memory = new SnapshotMemory({ bytesMax: roomFor(2) });
  memory.tenant('acme').replace(historyOf('acme', ['a', 'b']).snapshot());
  memory.tenant('acme').find('a', 'production');
  memory.tenant('globex').replace(historyOf('globex', ['c']).snapshot());
  expect(memory.tenant('globex').isComplete).toBe(true);
  expect(memory.tenant('acme').isComplete).toBe(false);
  expect(memory.tenant('acme').find('a', 'production')).toBeDefined();
  expect(memory.tenant('acme').find('b', 'production')).toBeUndefined();
});

test('there are no more groups than allowed, however much room their bytes leave: who was asked for least recently goes', () => {
  const memory = new SnapshotMemory({ bytesMax: roomFor(100), groupsMax: 3 });
  memory.tenant('acme').replace(historyOf('acme', ['a', 'b', 'c']).snapshot());
  expect(memory.tenant('acme').isComplete).toBe(true);
  const history = historyOf('globex', ['d']);
  const globex = memory.tenant('globex');
  globex.replace(history.snapshot());
  globex.advance(rangeOf(history.commit(createRoute(keyOf('e', 'globex')))));
  const held = (tenant: TenantMemory): unknown[] =>
    [...tenant.all()].map(({ routes }) => routes.get('v1')?.key.service);
  expect([held(memory.tenant('acme')), held(globex)]).toEqual([['c'], ['d', 'e']]);
  expect(memory.tenant('acme')).toMatchObject({ isComplete: false });
  expect(memory.figures).toMatchObject({ groups: 3, evictions: 2 });
});

test('a group that is asked for again and again outlives any number of others', () => {
  const memory = new SnapshotMemory({ bytesMax: roomFor(300) });
  const history = historyOf('acme', ['asked-for']);
  const acme = memory.tenant('acme');
  acme.replace(history.snapshot());
  for (let other = 0; other < 1_000; other++) {
    memory.tenant(`other-${other}`).replace(historyOf(`other-${other}`, ['c']).snapshot());
    expect(acme.find('asked-for', 'production')).toBeDefined();
  }
  expect(memory.figures.evictions).toBeGreaterThan(500);
  expect(acme.isComplete).toBe(true);
});

test('one change does not make a whole of a group that was dropped', () => {
  const memory = new SnapshotMemory({ bytesMax: roomFor(1) });
  const history = historyOf('acme', ['a', 'b']);
  const acme = memory.tenant('acme');
  acme.replace(history.snapshot());
  const dropped = ['a', 'b'].find((service) => acme.find(service, 'production') === undefined) ?? '';
  acme.advance(rangeOf(history.commit(createRoute(exampleKey('v2', { service: dropped })))));
  expect(acme.find(dropped, 'production')).toBeUndefined();
  expect(acme.position).toMatchObject(history.position);
});

test('a group larger than the whole memory is unknown, also when it grows to that', () => {
  const memory = new SnapshotMemory({ bytesMax: roomFor(1) });
  const history = historyOf('acme', ['a']);
  const acme = memory.tenant('acme');
  acme.replace(history.snapshot());
  acme.advance(rangeOf(history.commit(moveRoute(keyOf('a'), `grpc://host/${'p'.repeat(2_000)}`))));
  expect(acme).toMatchObject({ isComplete: false, position: history.position });
  expect(acme.find('a', 'production')).toBeUndefined();
  expect(memory.bytes).toBe(0);
});

test('changes that are here already are passed over, and a gap is refused before anything is taken', () => {
  const history = historyOf('acme', ['a']);
  const memory = new SnapshotMemory({ bytesMax: roomFor(5) }).tenant('acme');
  memory.replace(history.snapshot());
  const three = history.commit(moveRoute(keyOf('a'), 'grpc://third:1'));
  const four = history.commit(moveRoute(keyOf('a'), 'grpc://fourth:1'));
  const five = history.commit(moveRoute(keyOf('a'), 'grpc://fifth:1'));
  memory.advance(rangeOf([...three, ...four]));
  memory.advance(rangeOf([...three, ...four]));
  expect(memory.position.revision).toBe(4);
  const six = history.commit(moveRoute(keyOf('a'), 'grpc://sixth:1'));
  const seven = history.commit(moveRoute(keyOf('a'), 'grpc://seventh:1'));
  expect(() => memory.advance(rangeOf([...five, ...seven]))).toThrow(/does not follow/);
  expect(memory.position.revision).toBe(4);
  memory.advance(rangeOf([...five, ...six, ...seven]));
  expect(memory.find('a', 'production')?.routes.get('v1')?.endpoints[0]?.url).toBe('grpc://seventh:1');
});

test('a transaction that is not whole is refused, and none of it is taken', () => {
  const history = historyOf('acme', ['a']);
  const memory = new SnapshotMemory({ bytesMax: roomFor(5) }).tenant('acme');
  memory.replace(history.snapshot());
  const whole = history.commit(moveRoute(keyOf('a'), 'grpc://third:1'));
  const cut = history.commit(moveRoute(keyOf('a'), 'grpc://fourth:1'), createRoute(keyOf('b'))).slice(0, 1);
  expect(() => memory.advance(rangeOf([...whole, ...cut]))).toThrow(/not complete/);
  expect(memory.position.revision).toBe(2);
  expect(memory.find('a', 'production')?.routes.get('v1')?.endpoints[0]?.url).toBe('grpc://cart.acme.internal:8443');
});

test('a coalesced range leads to where its changes would have led, also from inside it', () => {
  const history = historyOf('acme', ['a', 'b']);
  const [memory, further] = ['memory', 'further'].map(() =>
    new SnapshotMemory({ bytesMax: roomFor(5) }).tenant('acme'),
  ) as [TenantMemory, TenantMemory];
  for (const each of [memory, further]) each.replace(history.snapshot());
  const first = history.commit(moveRoute(keyOf('a'), 'grpc://first:1'));
  const rest = [
    ...history.commit({ kind: 'delete_route', key: keyOf('b'), etag: '' }),
    ...history.commit(moveRoute(keyOf('a'), 'grpc://last:1')),
  ];
  further.advance(rangeOf(first));
  for (const each of [memory, further]) {
    each.advance(coalescedRangeOf([...first, ...rest]));
    expect(each.position).toEqual(history.position);
    expect(each.find('a', 'production')?.routes.get('v1')?.endpoints[0]?.url).toBe('grpc://last:1');
    expect(each.find('b', 'production')?.routes.size).toBe(0);
  }
});

test('a tenant that is deleted keeps what is held of it: it can come back', () => {
  const history = historyOf('acme', ['a']);
  const memory = new SnapshotMemory({ bytesMax: roomFor(5) }).tenant('acme');
  memory.replace(history.snapshot());
  memory.advance(rangeOf(history.commit({ kind: 'delete_tenant', tenant: 'acme', etag: '' })));
  expect(memory).toMatchObject({ tenant: { state: 'DELETED' }, isComplete: true, position: history.position });
  memory.advance(rangeOf(history.commit({ kind: 'undelete_tenant', tenant: 'acme', etag: '' })));
  expect(memory.tenant?.state).toBe('ACTIVE');
  expect(memory.find('a', 'production')?.routes.size).toBe(1);
});

test('listeners hear of a snapshot and of changes, once each, until they are disposed', () => {
  const history = historyOf('acme', ['a']);
  const memory = new SnapshotMemory({ bytesMax: roomFor(5) }).tenant('acme');
  let heard = 0;
  const subscription = memory.subscribe(() => (heard += 1));
  memory.replace(history.snapshot());
  memory.advance(rangeOf(history.commit(createRoute(keyOf('b')), createRoute(keyOf('c')))));
  memory.advance(rangeOf([]));
  expect(heard).toBe(2);
  subscription[Symbol.dispose]();
  memory.advance(rangeOf(history.commit(createRoute(keyOf('d')))));
  expect(heard).toBe(2);
});

test('a tenant that is released is forgotten', () => {
  const memory = new SnapshotMemory({ bytesMax: roomFor(5) });
  memory.tenant('acme').replace(historyOf('acme', ['a']).snapshot());
  memory.release('acme');
  expect(memory.tenant('acme').tenant).toBeUndefined();
  expect(memory.tenant('acme').find('a', 'production')).toBeUndefined();
});

test('the names of a group are part of what it takes', () => {
  const bytesOf = (service: string): number => {
    const group = createGroup([], undefined, 1);
    group.settle(new Slabs(), { service, environment: 'production' });
    return group.bytes;
  };
  // In its key, and in front of its block.
  expect(bytesOf('x'.repeat(63)) - bytesOf('x')).toBeGreaterThanOrEqual(62 + 16);
});
