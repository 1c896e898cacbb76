-- Tenants get quotas, a life, and an etag of their own.
ALTER TABLE tenants
  ADD COLUMN quotas       jsonb NOT NULL DEFAULT '{}',
  ADD COLUMN state        text NOT NULL DEFAULT 'ACTIVE' CHECK (state IN ('ACTIVE', 'DELETED')),
  ADD COLUMN etag         text NOT NULL DEFAULT '',
  -- The revision of the tenant's own last change; until now that was always its creation.
  ADD COLUMN own_revision bigint NOT NULL DEFAULT 1;

UPDATE tenants SET etag = substr(md5(tenant || '/' || display_name), 1, 16);

ALTER TABLE tenants ALTER COLUMN quotas DROP DEFAULT, ALTER COLUMN state DROP DEFAULT, ALTER COLUMN etag DROP DEFAULT, ALTER COLUMN own_revision DROP DEFAULT;
