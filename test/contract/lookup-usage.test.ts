import fc from 'fast-check';
import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { PostgresChangeRetention } from '../../src/outbound/postgres/postgres-change-retention.ts';
import { PostgresLookupUsage } from '../../src/outbound/postgres/postgres-lookup-usage.ts';
import type { LookupUsage, UsageFilter, VersionLookups, VersionUsage } from '../../src/ports/lookup-usage.ts';
import { createRoute, exampleKey } from '../fakes/example-configuration.ts';
import { openTestDatabase, type OpenedDatabase } from './open-test-database.ts';
import { TenantHistory } from './tenant-history.ts';

const hourMs = 3_600_000;
const services = ['cart', 'search'] as const;
const environments = ['production', 'staging'] as const;
const versions = ['v1', 'v2', 'v3'] as const;

describe('lookup usage', () => {
  let database: OpenedDatabase;
  let usage: LookupUsage;
  let client: Client;
  let tenants = 0;
  let sidecars = 0;

  beforeAll(async () => {
    database = await openTestDatabase(inject('postgresUrl'));
    usage = new PostgresLookupUsage(database.openDatabase());
    client = await database.connect();
  });
  afterAll(async () => await database[Symbol.asyncDispose]());

  /** A tenant with every version of every service and environment. */
  async function newTenant(): Promise<string> {
    const tenant = `tenant-${++tenants}`;
    const history = await new TenantHistory(database.openStore(), tenant).begin();
    const keys = services.flatMap((service) =>
      environments.flatMap((environment) =>
        versions.map((version) => exampleKey(version, { tenant, service, environment })),
      ),
    );
    await history.commit(keys.map((key) => createRoute(key)));
    return tenant;
  }

  function newSidecar(): string {
    return `sidecar-${++sidecars}`;
  }

  function lookupsOf(tenant: string, version = 'v1', lookups = 1): VersionLookups {
    return { tenant, service: 'cart', environment: 'production', version, lookups };
  }

  async function listed(
    tenant: string,
    filter: Partial<UsageFilter> = {},
  ): Promise<readonly VersionUsage[] | undefined> {
    const all = { tenant, service: '', environment: '', version: '', startTimeMs: undefined };
    return await usage.list({ ...all, ...filter }, { after: undefined, limit: 1_000 });
  }

  async function told(tenant: string, filter: Partial<UsageFilter> = {}): Promise<unknown> {
    return (await listed(tenant, filter))?.map(({ service, environment, version, lookups }) => [
      [service, environment, version].join('/'),
      lookups,
    ]);
  }

  test('adds what several sidecars report, each version however often it is in a report', async () => {
    const tenant = await newTenant();
    const [one, two] = [newSidecar(), newSidecar()];
    const first = [lookupsOf(tenant, 'v1', 2), lookupsOf(tenant, 'v2', 5), lookupsOf(tenant, 'v1', 1)];
    expect(await usage.add({ sidecarId: one, sequence: 1, versions: first })).toBe(true);
    expect(await usage.add({ sidecarId: two, sequence: 1, versions: [lookupsOf(tenant, 'v1', 10)] })).toBe(true);
    expect(await usage.add({ sidecarId: one, sequence: 2, versions: [lookupsOf(tenant, 'v1', 100)] })).toBe(true);
    expect(await told(tenant)).toEqual([
      ['cart/production/v1', 113],
      ['cart/production/v2', 5],
    ]);
    const lastLookupTimeMs = (await listed(tenant))?.[0]?.lastLookupTimeMs ?? 0;
    expect(lastLookupTimeMs % hourMs).toBe(0);
    const { rows } = await client.query<{ age: number }>(
      'SELECT (extract(epoch FROM clock_timestamp()) * 1000 - $1::float8)::float8 AS age',
      [lastLookupTimeMs],
    );
    expect(rows[0]?.age).toBeGreaterThanOrEqual(0);
    expect(rows[0]?.age).toBeLessThan(2 * hourMs);
  });

  test('adds a report once, however often and wherever it is repeated, also at the same moment', async () => {
    const tenant = await newTenant();
    const other = new PostgresLookupUsage(database.openDatabase());
    const report = { sidecarId: newSidecar(), sequence: 1, versions: [lookupsOf(tenant, 'v1', 3)] };
    const outcomes = await Promise.all([usage, other, usage, other].map(async (each) => await each.add(report)));
    expect(outcomes.filter(Boolean)).toHaveLength(1);
    await usage.add({ ...report, sequence: 2 });
    expect(await usage.add({ ...report, sequence: 2 })).toBe(false);
    expect(await usage.add(report)).toBe(false);
    expect(await told(tenant)).toEqual([['cart/production/v1', 6]]);
  });

  test('adds reports of many sidecars about the same versions at the same moment, in whatever order they name them', async () => {
    const tenant = await newTenant();
    const all = versions.map((version) => lookupsOf(tenant, version));
    await Promise.all(
      Array.from({ length: 12 }, async (_, index) => {
        const turned = index % 2 === 0 ? all : all.toReversed();
        for (let sequence = 1, sidecarId = newSidecar(); sequence <= 5; sequence++)
          await usage.add({ sidecarId, sequence, versions: turned });
      }),
    );
    expect(await told(tenant)).toEqual(versions.map((version) => [`cart/production/${version}`, 60]));
  });

  test('keeps nothing of tenants and versions that never existed, and all of what it was not told apart', async () => {
    const tenant = await newTenant();
    const rest = { tenant, service: '', environment: '', version: '', lookups: 4 };
    const strangers = [lookupsOf('nobody'), { ...rest, tenant: 'nobody' }, lookupsOf(tenant, 'v9')];
    expect(
      await usage.add({ sidecarId: newSidecar(), sequence: 1, versions: [...strangers, rest, lookupsOf(tenant)] }),
    ).toBe(true);
    expect(await listed('nobody')).toBeUndefined();
    expect(await told(tenant)).toEqual([
      ['//', 4],
      ['cart/production/v1', 1],
    ]);
    // It may be of whatever is asked for.
    expect(await told(tenant, { service: 'search' })).toEqual([['//', 4]]);
    const { rows } = await client.query("SELECT FROM lookup_usage WHERE tenant = 'nobody'");
    expect(rows).toEqual([]);
  });

  test('counts a version that was deleted meanwhile', async () => {
    const tenant = await newTenant();
    await client.query("UPDATE routes SET state = 'DELETED', deleted_from = 'ACTIVE' WHERE tenant = $1", [tenant]);
    await usage.add({ sidecarId: newSidecar(), sequence: 1, versions: [lookupsOf(tenant)] });
    expect(await told(tenant)).toEqual([['cart/production/v1', 1]]);
  });

  test('answers a tenant without usage with nothing, and one that is not there differently', async () => {
    expect(await listed(await newTenant())).toEqual([]);
    expect(await listed('not-there')).toBeUndefined();
  });

  test('lists by filter and by hour, page by page, as a model does', async () => {
    const tenant = await newTenant();
    const nowHour = Math.floor(Date.now() / hourMs);
    const rows = services.flatMap((service) =>
      environments.flatMap((environment) =>
        versions.flatMap((version, index) =>
          [1, 30, 60].slice(0, index + 1).map((hoursAgo) => ({
            service,
            environment,
            version,
            hour: (nowHour - hoursAgo) * hourMs,
            lookups: hoursAgo + index,
          })),
        ),
      ),
    );
    await client.query(
      `INSERT INTO lookup_usage SELECT $1, service, environment, version, to_timestamp(hour / 1000), lookups
        FROM json_to_recordset($2::json) AS x(service text, environment text, version text, hour float8, lookups bigint)`,
      [tenant, JSON.stringify(rows)],
    );
    const filters = fc.record({
      service: fc.constantFrom('', ...services),
      environment: fc.constantFrom('', ...environments),
      version: fc.constantFrom('', ...versions),
      startTimeMs: fc.option(
        fc.integer({ min: 0, max: 70 * 60 }).map((minutes) => nowHour * hourMs - minutes * 60_000),
        { nil: undefined },
      ),
    });
    await fc.assert(
      fc.asyncProperty(filters, fc.integer({ min: 1, max: 5 }), async (filter, limit) => {
        const wanted = rows.filter(
          (row) =>
            (filter.service === '' || row.service === filter.service) &&
            (filter.environment === '' || row.environment === filter.environment) &&
            (filter.version === '' || row.version === filter.version) &&
            row.hour >= Math.floor((filter.startTimeMs ?? 0) / hourMs) * hourMs,
        );
        const expected = new Map<string, { lookups: number; lastLookupTimeMs: number }>();
        for (const { service, environment, version, hour, lookups } of wanted) {
          const name = `${service}/${environment}/${version}`;
          const before = expected.get(name) ?? { lookups: 0, lastLookupTimeMs: 0 };
          expected.set(name, {
            lookups: before.lookups + lookups,
            lastLookupTimeMs: Math.max(before.lastLookupTimeMs, hour),
          });
        }
        const found: VersionUsage[] = [];
        for (;;) {
          const page = await usage.list({ tenant, ...filter }, { after: found.at(-1), limit });
          found.push(...(page ?? []));
          if ((page ?? []).length < limit) break;
        }
        const named = found.map(({ service, environment, version, ...rest }) => [
          `${service}/${environment}/${version}`,
          rest,
        ]);
        expect(named).toEqual([...expected].toSorted(([a], [b]) => (a < b ? -1 : 1)));
      }),
      { numRuns: 60 },
    );
  });

  test('is kept as long as changes are, hour by hour, and so is which reports were added', async () => {
    const tenant = await newTenant();
    const sidecarId = newSidecar();
    await usage.add({ sidecarId, sequence: 1, versions: [lookupsOf(tenant)] });
    const gone = newSidecar();
    await usage.add({ sidecarId: gone, sequence: 7, versions: [lookupsOf(tenant, 'v2'), lookupsOf(tenant, 'v3')] });
    // What had ended 30 days ago goes; what had not stays (with an hour to spare, should one end right now).
    const age = "date_trunc('hour', clock_timestamp(), 'UTC') - interval '30 days'";
    await client.query(
      `UPDATE lookup_usage SET hour = ${age} - interval '1 hour' WHERE tenant = $1 AND version = 'v2'`,
      [tenant],
    );
    await client.query(
      `UPDATE lookup_usage SET hour = ${age} + interval '1 hour' WHERE tenant = $1 AND version = 'v3'`,
      [tenant],
    );
    await client.query(`UPDATE usage_reports SET hour = ${age} - interval '1 hour' WHERE sidecar_id = $1`, [gone]);
    const retention = new PostgresChangeRetention(database.openDatabase());
    const removed: number[] = [];
    await retention.exclusively(async (lease) => {
      for (let step = 0; step < 2; step++)
        removed.push(await lease.removeUsage({ keepMs: 30 * 24 * hourMs, limit: 100 }));
    });
    expect(removed).toEqual([2, 0]);
    expect(await told(tenant)).toEqual([
      ['cart/production/v1', 1],
      ['cart/production/v3', 1],
    ]);
    const { rows } = await client.query('SELECT sidecar_id FROM usage_reports WHERE sidecar_id = ANY($1)', [
      [sidecarId, gone],
    ]);
    expect(rows).toEqual([{ sidecar_id: sidecarId }]);
  });
});
