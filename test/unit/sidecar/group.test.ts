import { expect, test } from 'vitest';
import { changeGroup, createGroup } from '../../../sidecar/snapshot/group.ts';
import type { Change } from '../../../src/domain/change.ts';
import type { Mutation } from '../../../src/domain/mutation.ts';
import { encodeResolution } from '../../../src/wire/resolve-wire.ts';
import {
  createRoute,
  exampleEndpoint,
  exampleKey,
  moveRoute,
  setDefaultVersion,
} from '../../fakes/example-configuration.ts';
import { SidecarHistory } from '../../fakes/sidecar-history.ts';

const [v1, v2] = [exampleKey('v1'), exampleKey('v2')];
const deleteRoute = (key: typeof v1): Mutation => ({ kind: 'delete_route', key, etag: '' });

function commitOne(history: SidecarHistory, mutation: Mutation): Change {
  const [change] = history.commit(mutation);
  if (change === undefined) throw new Error('nothing changed');
  return change;
}

function versions(group: ReturnType<typeof changeGroup>): string[] {
  return [...(group?.routes.keys() ?? [])].toSorted();
}

test('a first change makes the group', () => {
  const change = commitOne(new SidecarHistory('acme'), createRoute(v1));
  const group = changeGroup(undefined, change);
  expect(versions(group)).toEqual(['v1']);
  expect(group).toMatchObject({ asOf: 2, policy: undefined });
});

test('a change keeps what it is not about', () => {
  const history = new SidecarHistory('acme');
  const before = history.commit(createRoute(v1), createRoute(v2), setDefaultVersion(v1, 'v1'));
  const group = before.reduce<ReturnType<typeof changeGroup>>(changeGroup, undefined);
  const moved = changeGroup(group, commitOne(history, moveRoute(v2, 'grpc://elsewhere:1')));
  expect(versions(moved)).toEqual(['v1', 'v2']);
  expect(moved?.policy).toMatchObject({ defaultVersion: 'v1' });
  expect(moved?.routes.get('v2')?.endpoints[0]?.url).toBe('grpc://elsewhere:1');
  // The old one is as it was: whoever reads it keeps one moment.
  expect(group?.routes.get('v2')?.endpoints[0]?.url).toBe('grpc://cart.acme.internal:8443');
});

test('a change that the group knows already changes nothing, not even its identity', () => {
  const history = new SidecarHistory('acme');
  const old = commitOne(history, createRoute(v1));
  const same = commitOne(history, moveRoute(v1, 'grpc://new:1'));
  const group = createGroup(history.snapshot().routes, undefined, history.position.revision);
  expect(changeGroup(group, old)).toBe(group);
  expect(changeGroup(group, same)).toBe(group);
  const next = commitOne(history, moveRoute(v1, 'grpc://newer:1'));
  expect(changeGroup(group, next)?.routes.get('v1')?.endpoints[0]?.url).toBe('grpc://newer:1');
});

test('a deleted route goes, and comes back when it is undeleted', () => {
  const history = new SidecarHistory('acme');
  const created = changeGroup(undefined, commitOne(history, createRoute(v1)));
  const deleted = changeGroup(created, commitOne(history, deleteRoute(v1)));
  expect(versions(deleted)).toEqual([]);
  expect(deleted?.asOf).toBe(3);
  const undeleted = changeGroup(deleted, commitOne(history, { kind: 'undelete_route', key: v1, etag: '' }));
  expect(versions(undeleted)).toEqual(['v1']);
});

test('an inactive route stays: it is known to be switched off', () => {
  const history = new SidecarHistory('acme');
  const created = changeGroup(undefined, commitOne(history, createRoute(v1)));
  const off = commitOne(history, { kind: 'set_route_state', key: v1, state: 'INACTIVE', etag: '' });
  expect(changeGroup(created, off)?.routes.get('v1')?.lifecycle).toEqual({ state: 'INACTIVE' });
});

test('a policy is replaced, and removed', () => {
  const history = new SidecarHistory('acme');
  const routes = history.commit(createRoute(v1), createRoute(v2));
  const group = routes.reduce<ReturnType<typeof changeGroup>>(changeGroup, undefined);
  const set = commitOne(history, setDefaultVersion(v1, 'v1'));
  const withPolicy = changeGroup(group, set);
  expect(withPolicy?.policy?.defaultVersion).toBe('v1');
  expect(versions(withPolicy)).toEqual(['v1', 'v2']);
  if (set.subject.kind !== 'traffic_policy') throw new Error('a policy was set');
  const removed: Change = { ...set, revision: set.revision + 1, subject: { ...set.subject, after: undefined } };
  expect(changeGroup(withPolicy, removed)).toMatchObject({ policy: undefined, asOf: removed.revision });
});

test('a change of the tenant is none of a group', () => {
  const history = new SidecarHistory('acme');
  const group = changeGroup(undefined, commitOne(history, createRoute(v1)));
  const renamed: Change = {
    ...commitOne(history, createRoute(v2)),
    subject: {
      kind: 'tenant',
      before: undefined,
      after: {
        tenant: 'acme',
        displayName: 'Acme',
        quotas: {},
        state: 'ACTIVE',
        etag: 'e',
        revision: 3,
        ownRevision: 3,
        createTimeMs: 0,
      },
    },
  };
  expect(changeGroup(group, renamed)).toBe(group);
  expect(changeGroup(undefined, renamed)).toBeUndefined();
});

test('a group counts what its texts take, so that a bound in bytes is one', () => {
  const labels = Object.fromEntries(Array.from({ length: 64 }, (_, index) => [`label-${index}`, 'x'.repeat(255)]));
  const urls = Array.from(
    { length: 20 },
    (_, index) => `grpc://cart.acme.internal:${8_000 + index}/${'p'.repeat(2_000)}`,
  );
  const endpoints = urls.map((url) => exampleEndpoint({ url, labels }));
  const history = new SidecarHistory('acme');
  history.commit(createRoute(v1, { endpoints, labels }), setDefaultVersion(v1, 'v1'));
  const { routes, policies } = history.snapshot();
  const [route] = routes;
  if (route === undefined) throw new Error('there is a route');
  const encoded = encodeResolution(
    { route, policy: policies[0], reason: 'KEY' },
    { source: 'SNAPSHOT', revision: 1, stalenessMs: 0, stale: false },
  );
  expect(encoded.length).toBeGreaterThan(300_000);
  // The answer that is encoded once and kept, and no objects beside it.
  expect(createGroup(routes, policies[0], 1).bytes).toBeGreaterThan(encoded.length - 100);
});
