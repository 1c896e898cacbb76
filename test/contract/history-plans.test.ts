import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import type { Database } from '../../src/outbound/postgres/database.ts';
import { PostgresChangeHistory } from '../../src/outbound/postgres/postgres-change-history.ts';
import type { ChangeFilter, ChangeHistory, ChangePaging } from '../../src/ports/change-history.ts';
import { openTestDatabase, type OpenedDatabase } from './open-test-database.ts';

/** How Postgres carries out the reads of history, where its statistics mislead it most. */
describe('a read of history', () => {
  let database: OpenedDatabase;
  let client: Client;
  let history: ChangeHistory;
  let statements: { text: string; values: unknown[] }[];

  beforeAll(async () => {
    database = await openTestDatabase(inject('postgresUrl'));
    client = await database.connect();
    // What is common in the table is rare in this tenant, and as far away as can be: its first change; or its last.
    await client.query(`INSERT INTO tenants (tenant, display_name, revision, head_commit_id, head_commit_time, create_time, quotas, state, etag, own_revision)
      SELECT unnest(ARRAY['crowd', 'acme']), '', 20000, '', now(), now(), '{}'::jsonb, 'ACTIVE', '', 1`);
    await client.query(`INSERT INTO changes (tenant, revision, commit_revision, commit_id, commit_time, action, actor, correlation_id, kind, service, environment, version, after)
      SELECT tenant, r, r, '', now(), CASE WHEN common THEN 'DELETED' ELSE 'UPDATED' END, CASE WHEN common THEN 'common' ELSE 'actor-' || r % 7 END,
        CASE WHEN common THEN 'common' ELSE 'correlation-' || r END, CASE WHEN policy THEN 'traffic_policy' ELSE 'route' END, CASE WHEN common THEN 'common' ELSE 'service-' || r % 50 END,
        CASE WHEN common THEN 'common' ELSE 'environment-' || r % 3 END, CASE WHEN policy THEN NULL WHEN common THEN 'common' ELSE 'version-' || r % 5 END,
        '{"state": "ACTIVE", "endpoints": [], "labels": {}, "etag": "", "updated_by": "", "create_time_ms": 1, "update_time_ms": 1, "revision": 1}'
      FROM (SELECT tenant, r, tenant = 'crowd' OR r IN (1, 20000) AS common, r % 10 = 5 AS policy FROM unnest(ARRAY['crowd', 'acme']) tenant, generate_series(1, 20000) r) drawn`);
    await client.query('VACUUM ANALYZE');
    history = new PostgresChangeHistory({
      database: recording(database.openDatabase()),
      clock: { monotonicMs: () => 0 },
    });
  });
  afterAll(async () => await database[Symbol.asyncDispose]());

  function recording(real: Database): Pick<Database, 'query' | 'atOneMoment'> {
    return {
      query: async (statement, values) => await real.query(statement, values),
      atOneMoment: async (read) =>
        await real.atOneMoment(
          async (query) =>
            await read(async (text, values = []) => {
              statements.push({ text, values });
              return await query(text, values);
            }),
        ),
    };
  }

  /** The ways into `changes` that the statements of a read took, and how many rows they looked at. */
  async function waysOf(read: () => Promise<unknown>): Promise<{ ways: Set<string>; rows: number }> {
    statements = [];
    await read();
    const ways = new Set<string>();
    let rows = 0;
    for (const { text, values } of statements) {
      const explained = await client.query<{ 'QUERY PLAN': [{ Plan: PlanNode }] }>(
        `EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ${text}`,
        values,
      );
      const root = explained.rows[0]?.['QUERY PLAN'][0].Plan;
      for (const node of root === undefined ? [] : nodesOf(root)) {
        const index = node['Index Name'] ?? '';
        if (node['Relation Name'] !== 'changes' && !index.startsWith('changes')) continue;
        ways.add(index || node['Node Type']);
        rows += (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops'];
      }
    }
    return { ways, rows };
  }

  const orders: readonly ChangePaging['order'][] = ['newest_first', 'oldest_first'];
  const cases: readonly { index: string; filter: Partial<ChangeFilter> }[] = [
    { index: 'changes_by_service', filter: { service: 'common' } },
    { index: 'changes_by_environment', filter: { environment: 'common' } },
    { index: 'changes_by_version', filter: { version: 'common' } },
    { index: 'changes_by_action', filter: { actions: ['DELETED'] } },
    { index: 'changes_by_action', filter: { actions: ['CREATED', 'DELETED'] } },
    { index: 'changes_by_actor', filter: { actor: 'common' } },
    { index: 'changes_by_correlation_id', filter: { correlationId: 'common' } },
    { index: 'changes_by_subject', filter: { service: 'common', environment: 'common', version: 'common' } },
    { index: 'changes_by_correlation_id', filter: { correlationId: 'correlation-7' } },
    { index: 'changes_pkey', filter: {} },
  ];

  test.for(cases)(
    'by $filter goes through $index, and looks at little more than it answers',
    async ({ index, filter }) => {
      for (const order of orders) {
        for (const after of [undefined, order === 'newest_first' ? 19_000 : 1_000]) {
          const { ways, rows } = await waysOf(() =>
            history.list({ ...noFilter, tenant: 'acme', ...filter }, { order, after, limit: 50 }),
          );
          expect(ways).toEqual(new Set([index]));
          expect(rows).toBeLessThan(110);
        }
      }
    },
  );

  test('of combined filters goes through one of their indexes', async () => {
    const { ways } = await waysOf(() =>
      history.list(
        { ...noFilter, tenant: 'acme', actor: 'common', service: 'service-7', actions: ['UPDATED'] },
        { order: 'newest_first', after: undefined, limit: 50 },
      ),
    );
    expect(ways.has('changes_pkey')).toBe(false);
    expect(ways.has('Seq Scan')).toBe(false);
  });

  test('of a range of times halves its way, and then reads the page', async () => {
    const { ways, rows } = await waysOf(() =>
      history.list(
        { ...noFilter, tenant: 'acme', startTimeMs: 0, endTimeMs: Date.now() + 1_000_000 },
        { order: 'newest_first', after: undefined, limit: 50 },
      ),
    );
    expect(ways).toEqual(new Set(['changes_pkey']));
    expect(rows).toBeLessThan(110);
  });

  test('at a revision reads one change for each value that has changed since', async () => {
    const { ways, rows } = await waysOf(() =>
      history.groupAt({ tenant: 'acme', service: 'common', environment: 'common' }, 5),
    );
    expect(ways).toEqual(new Set(['changes_by_subject']));
    expect(rows).toBeLessThan(10);
  });
});

const noFilter: Omit<ChangeFilter, 'tenant'> = {
  service: '',
  environment: '',
  version: '',
  actions: [],
  actor: '',
  correlationId: '',
  revisionMin: 0,
  revisionMax: 0,
  startTimeMs: undefined,
  endTimeMs: undefined,
};

/** As much of `EXPLAIN (FORMAT JSON)` as is looked at. */
interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Index Name'?: string;
  readonly 'Relation Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly Plans?: readonly PlanNode[];
}

function nodesOf(node: PlanNode): PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(nodesOf)];
}
