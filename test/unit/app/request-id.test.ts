import { describe, expect, test } from 'vitest';
import type { Mutation } from '../../../src/domain/mutation.ts';
import {
  createRoute,
  createTenant,
  exampleKey,
  exampleTenant,
  moveRoute,
  setDefaultVersion,
} from '../../fakes/example-configuration.ts';
import { createInMemoryConfigurationStore } from '../../fakes/in-memory-configuration-store.ts';
import { Gate, TestReplica } from '../../fakes/test-replica.ts';

const key = exampleKey('v1');
const reused = { reason: 'REQUEST_ID_REUSED', metadata: { request_id: 'id' } };

async function withRoute() {
  let nowMs = Date.UTC(2026, 5, 1);
  const store = createInMemoryConfigurationStore(() => nowMs);
  const replica = new TestReplica(store);
  await replica.write([createTenant(exampleTenant, 'ACME')]);
  await replica.write([createRoute(key), createRoute(exampleKey('v2'))]);
  await replica.write([setDefaultVersion(key, 'v1')]);
  const passTime = (durationMs: number): void => void (nowMs += durationMs);
  return { store, replica, other: new TestReplica(store), passTime };
}

describe('a write with a request id', () => {
  const writes: readonly (readonly [name: string, mutation: Mutation])[] = [
    ['a tenant that exists', createTenant(exampleTenant, 'ACME')],
    ['a route that is new', createRoute(exampleKey('v3'))],
    ['a route that exists', createRoute(key)],
    ['a move', moveRoute(key, 'grpc://moved')],
    ['a move to where it is', moveRoute(key, 'grpc://cart.acme.internal:8443')],
    ['a deletion', { kind: 'delete_route', key: exampleKey('v2'), etag: '' }],
    ['an undeletion of what is there', { kind: 'undelete_route', key, etag: '' }],
    ['a deactivation', { kind: 'set_route_state', key, state: 'INACTIVE', etag: '' }],
    ['a policy that is changed', setDefaultVersion(key, 'v2')],
    ['a policy that is the same', setDefaultVersion(key, 'v1')],
  ];

  test.for(writes)('gets its first reply again, whatever has happened since: %s', async ([, mutation]) => {
    const { store, replica, other } = await withRoute();
    const first = await replica.write([mutation], { requestId: 'id' });
    await replica.write([moveRoute(key, 'grpc://elsewhere')]).catch(() => {});
    await other.write([{ kind: 'set_route_state', key, state: 'ACTIVE', etag: '' }, moveRoute(key, 'grpc://nowhere')]);
    const revision = (await store.head(exampleTenant))?.position.revision;

    for (const each of [replica, other, new TestReplica(store)]) {
      expect(await each.write([mutation], { requestId: 'id' })).toEqual(first);
    }
    expect((await store.head(exampleTenant))?.position.revision).toBe(revision);
  });

  test('and another body is refused', async () => {
    const { store, replica, other } = await withRoute();
    await replica.write([createRoute(exampleKey('v3'))], { requestId: 'id' });
    for (const each of [replica, other]) {
      await expect(each.write([createRoute(exampleKey('v4'))], { requestId: 'id' })).rejects.toMatchObject(reused);
      const dry = each.write([createRoute(exampleKey('v3'))], { requestId: 'id', validateOnly: true });
      await expect(dry).rejects.toMatchObject(reused);
    }
    expect(await store.getRoute(exampleKey('v4'))).toBeUndefined();
  });

  test('that was refused is not remembered: what failed once may succeed later', async () => {
    const { replica } = await withRoute();
    const policy = setDefaultVersion(key, 'v9');
    await expect(replica.write([policy], { requestId: 'id' })).rejects.toMatchObject({ reason: 'VERSION_NOT_FOUND' });
    await replica.write([createRoute(exampleKey('v9'))]);
    expect(await replica.write([policy], { requestId: 'id' })).toMatchObject({
      outcomes: [{ change: { action: 'UPDATED' } }],
    });
  });

  test('is remembered for 24 hours', async () => {
    const { replica, passTime } = await withRoute();
    const first = await replica.write([moveRoute(key, 'grpc://one')], { requestId: 'id' });
    await replica.write([moveRoute(key, 'grpc://two')]);
    passTime(24 * 60 * 60 * 1_000 - 1);
    expect(await replica.write([moveRoute(key, 'grpc://one')], { requestId: 'id' })).toEqual(first);
    passTime(1);
    expect(await replica.write([moveRoute(key, 'grpc://one')], { requestId: 'id' })).toMatchObject({ revision: 7 });
  });

  test('belongs to its tenant', async () => {
    const { replica } = await withRoute();
    await replica.write([createRoute(exampleKey('v3'))], { requestId: 'id' });
    const created = await replica.write([createTenant('globex')], { requestId: 'id', tenant: 'globex' });
    expect(created.revision).toBe(1);
  });

  test('that is sent many times at once is carried out once', async () => {
    const { store, replica, other } = await withRoute();
    const gate = new Gate();
    const commit: typeof store.commit = async (each) => {
      await gate.pass();
      return await store.commit(each);
    };
    const slow = new TestReplica({ ...store, commit });
    const tenTimes = (each: TestReplica) =>
      Array.from({ length: 10 }, async () => await each.write([moveRoute(key, 'grpc://moved')], { requestId: 'id' }));
    const late = tenTimes(slow);
    await gate.reached;
    const results = await Promise.all([replica, other].flatMap(tenTimes));
    gate.open();
    results.push(...(await Promise.all(late)));
    for (const result of results) expect(result).toEqual(results[0]);
    expect(results[0]?.revision).toBe(5);
    expect((await store.head(exampleTenant))?.position.revision).toBe(5);
  });

  test('that is sent with two bodies at once is carried out with one of them', async () => {
    const { store, replica } = await withRoute();
    const results = await Promise.allSettled([
      replica.write([moveRoute(key, 'grpc://one')], { requestId: 'id' }),
      replica.write([moveRoute(key, 'grpc://two')], { requestId: 'id' }),
    ]);
    expect(results).toMatchObject([{ status: 'fulfilled' }, { status: 'rejected', reason: reused }]);
    expect((await store.getRoute(key))?.endpoints[0]?.url).toBe('grpc://one');
  });
});
