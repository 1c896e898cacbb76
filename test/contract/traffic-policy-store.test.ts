import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { createInMemoryConfigurationStore } from '../fakes/in-memory-configuration-store.ts';
import { describePolicies } from './configuration-store-policies.contract.ts';
import { openTestDatabase, type OpenedDatabase } from './open-test-database.ts';
import { TenantHistory } from './tenant-history.ts';

let database: OpenedDatabase;
beforeAll(async () => {
  database = await openTestDatabase(inject('postgresUrl'));
});
afterAll(async () => await database[Symbol.asyncDispose]());

const nothing = async (): Promise<void> => await Promise.resolve();

describePolicies('the Postgres store', async () => {
  const stores = [database.openStore(), database.openStore()] as const;
  return await Promise.resolve({ stores, [Symbol.asyncDispose]: nothing });
});

describePolicies('the in-memory store', async () => {
  const store = createInMemoryConfigurationStore(() => 1_767_225_600_000);
  return await Promise.resolve({ stores: [store, store], [Symbol.asyncDispose]: nothing });
});

test('a policy from before there were rules has none, in its row and in the log', async () => {
  const store = database.openStore();
  const tenant = 'policies-old';
  await new TenantHistory(store, tenant).begin();
  const key = { tenant, service: 'cart', environment: 'production' };
  const value = { split: [{ weight: 1, version: 'v1' }], defaultVersion: 'v1' };
  const client = await database.connect();
  await client.query(
    `INSERT INTO traffic_policies (tenant, service, environment, value, revision, etag, create_time, update_time, updated_by)
     VALUES ($1, $2, $3, $4, 2, 'e', now(), now(), 'alice')`,
    [tenant, key.service, key.environment, value],
  );
  await client.query(
    `INSERT INTO changes (tenant, revision, commit_revision, commit_id, commit_time, action, actor, correlation_id, kind, service, environment, after)
     VALUES ($1, 2, 2, 'c', now(), 'CREATED', 'alice', 'x', 'traffic_policy', $2, $3, $4)`,
    [tenant, key.service, key.environment, { value, revision: 2, etag: 'e', updated_by: 'alice' }],
  );
  expect(await store.getPolicy(key)).toMatchObject({ ...value, rules: [] });
  const [change] = await store.changesFrom(tenant, 2, 1);
  expect(change?.subject.after).toMatchObject({ ...value, rules: [] });
});
