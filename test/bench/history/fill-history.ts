import type { Client } from 'pg';

/** The tenant that has it all. */
export const benchTenant = 'bench';
/** Each is done by 20 changes in the oldest hundredth of the log: what an index has to find. */
export const rare = { actor: 'rare-actor', environment: 'lab', version: 'rare', service: 'rare-service' } as const;

/** Does an eighth of all changes, and none in production. */
export const robot = 'robot';

export type HistorySize = { readonly changes: number; readonly routes: number };

const versionsPerService = 25;
const environments = ['production', 'staging', 'test', 'development'];

/**
 * Fills the tables as the product would have: a tenant, then its routes one after another (4 environments, 25 versions each), then
 * changes to them all over, three to a transaction, spread over 40 days; and a fifth as many of ten other tenants
 * in between. The indexes are built afterwards: 40 s for 1,000,000 changes instead of 140.
 */
export async function fillHistory(client: Client, { changes, routes }: HistorySize): Promise<void> {
  await client.query(`INSERT INTO tenants (tenant, display_name, revision, head_commit_id, head_commit_time, create_time, quotas, state, etag, own_revision)
    SELECT '${benchTenant}', '', ${changes}, 'head', now(), now() - interval '40 days', '{}'::jsonb, 'ACTIVE', '', 1
    UNION ALL SELECT 'other-' || n, '', ${changes / 50}, 'head', now(), now() - interval '40 days', '{}'::jsonb, 'ACTIVE', '', 1 FROM generate_series(0, 9) n`);
  const { rows: indexes } = await client.query<{ name: string; definition: string }>(
    `SELECT indexname AS name, indexdef AS definition FROM pg_indexes WHERE tablename = 'changes' AND indexname <> 'changes_pkey'`,
  );
  for (const { name } of indexes) await client.query(`DROP INDEX ${name}`);
  const part = Math.ceil(changes / 40);
  for (let first = 1; first <= changes; first += part) {
    const last = Math.min(changes, first + part - 1);
    await client.query(benchChangesSql({ first, last, changes, routes }));
    await client.query(
      otherChangesSql({ first: Math.ceil(first / 50), last: Math.floor(last / 50), changes: changes / 50 }),
    );
  }
  await client.query(`INSERT INTO routes
    SELECT DISTINCT ON (service, environment, version) tenant, service, environment, version, after->>'state', NULL, after->'endpoints', after->'labels', revision,
      after->>'etag', commit_time, commit_time, actor
    FROM changes WHERE tenant = '${benchTenant}' AND kind = 'route' ORDER BY service, environment, version, revision DESC`);
  for (const { definition } of indexes) await client.query(definition);
  await client.query('VACUUM ANALYZE');
}

type Part = { readonly first: number; readonly last: number; readonly changes: number };

const columns =
  'tenant, revision, commit_revision, commit_id, commit_time, action, actor, correlation_id, kind, service, environment, version, before, after';

function document(url: string): string {
  return `jsonb_build_object('state', 'ACTIVE', 'deleted_from', NULL, 'labels', '{}'::jsonb, 'revision', r, 'etag', substr(md5(r::text), 1, 16),
    'updated_by', actor, 'create_time_ms', 1760000000000, 'update_time_ms', 1760000000000, 'endpoints', jsonb_build_array(jsonb_build_object(
      'url', ${url}, 'weight', 1, 'zone', 'eu-west-1a', 'priority', 0, 'labels', '{}'::jsonb)))`;
}

function benchChangesSql({ first, last, changes, routes }: Part & { routes: number }): string {
  const rareFrom = (place: number): string => `r BETWEEN ${routes + place * 100} AND ${routes + place * 100 + 19}`;
  return `INSERT INTO changes (${columns})
    SELECT '${benchTenant}', r, least(${changes}, ((r + 2) / 3) * 3), md5('commit' || (r + 2) / 3), now() - interval '40 days' * (1 - least(${changes}, ((r + 2) / 3) * 3) / ${changes}::float8),
      CASE WHEN r <= ${routes} + 1 THEN 'CREATED' WHEN r % 50021 = 0 THEN 'DELETED' WHEN r % 20 < 12 THEN 'UPDATED' WHEN r % 20 < 16 THEN 'ACTIVATED' ELSE 'DEACTIVATED' END,
      actor, md5('correlation' || (r + 2) / 3), CASE WHEN r = 1 THEN 'tenant' ELSE 'route' END,
      CASE WHEN r = 1 THEN NULL WHEN ${rareFrom(1)} THEN '${rare.service}' ELSE 'service-' || k / 100 END,
      CASE WHEN r = 1 THEN NULL WHEN ${rareFrom(2)} THEN '${rare.environment}' ELSE (ARRAY['${environments.join("','")}'])[k % 4 + 1] END,
      CASE WHEN r = 1 THEN NULL WHEN ${rareFrom(3)} THEN '${rare.version}' ELSE 'v' || k / 4 % ${versionsPerService} END,
      CASE WHEN r > ${routes} + 1 THEN ${document(`'grpc://service-' || k / 100 || '.internal:8443/before'`)} END,
      CASE WHEN r = 1 THEN '{"display_name": "", "quotas": {}, "state": "ACTIVE", "etag": "", "own_revision": 1}' ELSE ${document(`'grpc://service-' || k / 100 || '.internal:8443'`)} END
    FROM (SELECT r, CASE WHEN r <= ${routes} + 1 THEN greatest(0, r - 2) ELSE (r * 7919) % ${routes} END AS k,
        CASE WHEN ${rareFrom(4)} THEN '${rare.actor}' WHEN r % 8 = 1 THEN '${robot}' ELSE 'engineer-' || r % 47 || '@example.com' END AS actor
      FROM generate_series(${first}::bigint, ${last}) r) drawn`;
}

function otherChangesSql({ first, last, changes }: Part): string {
  return `INSERT INTO changes (${columns})
    SELECT 'other-' || n, r, r, md5(n || 'commit' || r), now() - interval '40 days' * (1 - r / ${changes}::float8), 'UPDATED', actor, md5(n || 'correlation' || r),
      'route', 'service-' || r % 100, 'production', 'v1', ${document("'grpc://other'")}, ${document("'grpc://other'")}
    FROM (SELECT n, r, 'engineer-' || r % 47 || '@example.com' AS actor FROM generate_series(${Math.max(1, first)}::bigint, ${last}) r, generate_series(0, 9) n) drawn`;
}
