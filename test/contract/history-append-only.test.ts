import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { startControlPlane } from '../../src/control-plane.ts';
import { readControlPlaneConfig } from '../../src/config.ts';
import {
  createClient,
  Endpoint,
  message,
  Route,
  Tenant,
  TrafficPolicy,
  VersionLookups,
} from '../../src/client/index.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { createRoute, exampleKey, exampleTenant, moveRoute } from '../fakes/example-configuration.ts';
import { openTestDatabase, type OpenedDatabase } from './open-test-database.ts';
import { TenantHistory } from './tenant-history.ts';

const refusal = 'the change log is append-only';

describe('the change log', () => {
  let database: OpenedDatabase;
  let client: Client;

  beforeAll(async () => {
    database = await openTestDatabase(inject('postgresUrl'));
    client = await database.connect();
    const history = await new TenantHistory(database.openStore(), exampleTenant).begin();
    await history.commit([createRoute(exampleKey())]);
    for (let move = 0; move < 5; move++) await history.commit([moveRoute(exampleKey(), `grpc://host-${move}`)]);
    await client.query(`SET session_replication_role = replica;
      UPDATE changes SET commit_time = commit_time - interval '90 days';
      RESET session_replication_role`);
  });
  afterAll(async () => await database[Symbol.asyncDispose]());

  async function revisions(): Promise<number[]> {
    const { rows } = await client.query<{ revision: number }>('SELECT revision FROM changes ORDER BY revision');
    return rows.map((row) => row.revision);
  }

  test.for([
    "UPDATE changes SET actor = 'nobody'",
    'UPDATE changes SET actor = actor WHERE false',
    'DELETE FROM changes',
    'DELETE FROM changes WHERE revision = 1',
    'TRUNCATE changes',
    'TRUNCATE tenants CASCADE; TRUNCATE changes',
    "INSERT INTO changes SELECT * FROM changes ON CONFLICT (tenant, revision) DO UPDATE SET actor = 'nobody'",
    'MERGE INTO changes c USING changes d ON c.revision = d.revision WHEN MATCHED THEN DELETE',
    'WITH gone AS (DELETE FROM changes RETURNING 1) SELECT count(*) FROM gone',
    "SET LOCAL traffic_manager.compacting = 'on'; UPDATE changes SET actor = 'nobody'",
    "SET LOCAL traffic_manager.compacting = 'on'; TRUNCATE changes",
    "SELECT compact_changes('acme', '30 days', 1); DELETE FROM changes",
  ])('refuses %s, of its owner too', async (statement) => {
    const before = await revisions();
    await client.query('BEGIN');
    await expect(client.query(statement)).rejects.toThrow(refusal);
    await client.query('ROLLBACK');
    expect(await revisions()).toEqual(before);
  });

  test('is shortened by its one function only, which leaves it as closed as before, also when it fails', async () => {
    const before = await revisions();
    await expect(client.query("SELECT compact_changes('acme', '23 hours', 10)")).rejects.toThrow('for a day at least');
    await expect(client.query('DELETE FROM changes')).rejects.toThrow(refusal);
    expect((await client.query("SELECT compact_changes('nobody', '30 days', 10) AS n")).rows).toEqual([{ n: 0 }]);
    expect((await client.query("SELECT compact_changes('acme', '30 days', 2) AS n")).rows).toEqual([{ n: 2 }]);
    await expect(client.query('DELETE FROM changes')).rejects.toThrow(refusal);
    expect(await revisions()).toEqual(before.slice(2));
  });

  test('is closed by privileges too for a role that owns nothing, with which a control plane does all its work', async () => {
    const role = `test_${randomBytes(6).toString('hex')}`;
    const roles = await readFile(new URL('../../deploy/postgres-roles.sql', import.meta.url), 'utf8');
    await client.query(`CREATE ROLE ${role} LOGIN PASSWORD 'secret'`);
    try {
      await client.query(roles.replaceAll(/\btraffic_manager;/g, `${role};`));
      const url = new URL(database.url);
      url.username = role;
      url.password = 'secret';
      const restricted = new Client({ connectionString: url.href });
      await restricted.connect();
      try {
        const forbidden = [
          'UPDATE changes SET actor = actor',
          'DELETE FROM changes',
          'TRUNCATE changes',
          'DELETE FROM compactions',
        ];
        for (const statement of [
          ...forbidden,
          'ALTER TABLE changes DISABLE TRIGGER ALL',
          'DROP TRIGGER changes_append_only ON changes',
        ])
          await expect(restricted.query(statement)).rejects.toMatchObject({ code: '42501' });
        expect((await restricted.query("SELECT compact_changes('acme', '30 days', 1) AS n")).rows).toEqual([
          { n: '1' },
        ]);
      } finally {
        await restricted.end();
      }
      await workThrough(url.href);
    } finally {
      await client.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
    }
  });
});

/** Every kind of write, and reads of the past, through a control plane. */
async function workThrough(databaseUrl: string): Promise<void> {
  const config = readControlPlaneConfig({ DATABASE_URL: databaseUrl, TM_CONTROL_PLANE_ADDRESS: '127.0.0.1:0' });
  await using controlPlane = await startControlPlane(config, createLogger('control-plane', 'silent'));
  using calls = createClient({ address: controlPlane.address });
  const tenant = 'restricted';
  const key = { tenant, service: 'cart', environment: 'production', version: 'v1' };
  await calls.tenants.createTenant({ tenant: message(Tenant, { tenant }) });
  await calls.routes.createRoute({
    route: message(Route, { key, endpoints: [message(Endpoint, { url: 'grpc://cart' })] }),
    requestId: 'once',
  });
  await calls.policies.setTrafficPolicy({ trafficPolicy: message(TrafficPolicy, { key, defaultVersion: 'v1' }) });
  await calls.policies.deleteTrafficPolicy({ key });
  await calls.routes.deleteRoute({ key });
  const versions = [message(VersionLookups, { ...key, lookups: 2n })];
  for (const sequence of [1n, 2n]) await calls.usage.reportUsage({ sidecarId: 'one', sequence, versions });
  expect((await calls.usage.listUsage({ tenant })).usages).toMatchObject([{ version: 'v1', lookups: 4n }]);
  const { changes } = await calls.changes.listChanges({ tenant });
  expect(changes).toHaveLength(5);
  const atTime = changes[0]?.commitTime;
  if (atTime === undefined) throw new Error('a change has a time');
  const { routes } = await calls.routes.listRoutes({
    tenant,
    showDeleted: true,
    at: { $case: 'atTime', value: atTime },
  });
  expect(routes).toHaveLength(1);
}
