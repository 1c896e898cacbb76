-- The change log refuses UPDATE, DELETE and TRUNCATE to everybody, by a trigger. That stops mistakes; who owns the table, and every
-- superuser, can drop the trigger. Where the log must also withstand the application's own credential, give the application a
-- role that owns nothing:
--
--   1. Start a control plane once as the owner of the database: it creates the schema.
--   2. Run this as the owner:  CREATE ROLE traffic_manager LOGIN PASSWORD '…';  then  psql -f deploy/postgres-roles.sql
--   3. From then on the control planes' DATABASE_URL is of that role. After an upgrade that has migrations, repeat 1 and 2
--      (the control planes say so: they cannot apply them).
--
-- What is left: the owner and superusers, who should not be on any server that others reach. Who must be able to prove that
-- nothing was edited ships the log away as it is written (the stream, or Postgres' own WAL archive).

-- CREATE on the schema: a control plane looks for its table of migrations by creating it if it is missing.
GRANT USAGE, CREATE ON SCHEMA public TO traffic_manager;
GRANT SELECT ON schema_migrations, compactions TO traffic_manager;
GRANT SELECT, INSERT ON changes TO traffic_manager;
GRANT SELECT, INSERT, UPDATE ON tenants, routes TO traffic_manager;
GRANT SELECT, INSERT, UPDATE, DELETE ON traffic_policies, request_replies, relay_lease, stream_records, lookup_usage,
  usage_reports TO traffic_manager;

-- Retention: the one thing that removes changes, and nothing younger than a day. It runs as its owner.
REVOKE EXECUTE ON FUNCTION compact_changes(text, interval, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION compact_changes(text, interval, bigint) TO traffic_manager;
ALTER FUNCTION compact_changes(text, interval, bigint) SECURITY DEFINER SET search_path = public, pg_temp;
