import type { Client } from 'pg';

/** One statement that does what a mutation must: revision, route, change. No checks, no replies: the least there is. */
const text = `
WITH head AS (
  UPDATE tenants SET revision = revision + 1, head_commit_id = $2, head_commit_time = clock_timestamp() WHERE tenant = $1 RETURNING revision, head_commit_time
), put AS (
  INSERT INTO routes (tenant, service, environment, version, state, endpoints, labels, revision, etag, create_time, update_time, updated_by)
  SELECT $1, $3, 'production', 'v1', 'ACTIVE', $4::jsonb, '{}', head.revision, $2, head.head_commit_time, head.head_commit_time, 'bench' FROM head
  ON CONFLICT (tenant, service, environment, version) DO UPDATE SET endpoints = excluded.endpoints, revision = excluded.revision, etag = excluded.etag, update_time = excluded.update_time
), log AS (
  INSERT INTO changes (tenant, revision, commit_revision, commit_id, commit_time, action, actor, correlation_id, kind, service, environment, version, before, after)
  SELECT $1, head.revision, head.revision, $2, head.head_commit_time, 'UPDATED', 'bench', $2, 'route', $3, 'production', 'v1', $5::jsonb, $5::jsonb FROM head
)
SELECT revision FROM head`;

export async function rawStatement(
  client: Client,
  tenant: string,
  { caller, call }: { caller: number; call: number },
): Promise<void> {
  const endpoints = JSON.stringify([
    { url: `grpc://host-${call}.bench.internal:8443`, weight: 1, zone: 'eu-west-1a', priority: 0, labels: {} },
  ]);
  const document = `{"state":"ACTIVE","deleted_from":null,"endpoints":${endpoints},"labels":{},"revision":${call},"etag":"0123456789abcdef","updated_by":"bench","create_time_ms":1700000000000,"update_time_ms":1700000000000}`;
  const id = `${caller}-${call}-0123456789`;
  await client.query({ name: 'raw', text, values: [tenant, id, `service-${caller}`, endpoints, document] });
}
