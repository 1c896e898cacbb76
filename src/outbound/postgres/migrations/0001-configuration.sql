-- The source of truth. Names collate "C": bytewise, the order of pages, and cheap.

CREATE TABLE tenants (
  tenant           text COLLATE "C" PRIMARY KEY,
  display_name     text NOT NULL,
  -- Gap-free and in commit order: the row's lock makes the tenant's history serial.
  revision         bigint NOT NULL CHECK (revision >= 1),
  -- Random per transaction: a commit on top of a position that is not the head finds another id here, and writes nothing.
  head_commit_id   text NOT NULL,
  head_commit_time timestamptz(3) NOT NULL,
  create_time      timestamptz(3) NOT NULL
) WITH (fillfactor = 50); -- every commit updates the row: leave room to do so in its page

CREATE TABLE routes (
  tenant       text COLLATE "C" NOT NULL REFERENCES tenants,
  service      text COLLATE "C" NOT NULL,
  environment  text COLLATE "C" NOT NULL,
  version      text COLLATE "C" NOT NULL,
  state        text NOT NULL CHECK (state IN ('ACTIVE', 'INACTIVE', 'DELETED')),
  -- What undelete comes back to.
  deleted_from text CHECK (deleted_from IN ('ACTIVE', 'INACTIVE')),
  -- Read and written as a whole, never joined: a document, not a table of its own.
  endpoints    jsonb NOT NULL,
  labels       jsonb NOT NULL,
  revision     bigint NOT NULL,
  etag         text NOT NULL,
  create_time  timestamptz(3) NOT NULL,
  update_time  timestamptz(3) NOT NULL,
  updated_by   text NOT NULL,
  PRIMARY KEY (tenant, service, environment, version),
  CHECK ((state = 'DELETED') = (deleted_from IS NOT NULL))
);

CREATE TABLE traffic_policies (
  tenant      text COLLATE "C" NOT NULL REFERENCES tenants,
  service     text COLLATE "C" NOT NULL,
  environment text COLLATE "C" NOT NULL,
  value       jsonb NOT NULL,
  revision    bigint NOT NULL,
  etag        text NOT NULL,
  create_time timestamptz(3) NOT NULL,
  update_time timestamptz(3) NOT NULL,
  updated_by  text NOT NULL,
  PRIMARY KEY (tenant, service, environment)
);

-- The change log: audit log and source of every stream.
CREATE TABLE changes (
  tenant          text COLLATE "C" NOT NULL,
  revision        bigint NOT NULL,
  commit_revision bigint NOT NULL CHECK (commit_revision >= revision),
  commit_id       text NOT NULL,
  commit_time     timestamptz(3) NOT NULL,
  action          text NOT NULL,
  actor           text NOT NULL,
  correlation_id  text NOT NULL,
  kind            text NOT NULL CHECK (kind IN ('route', 'traffic_policy', 'tenant')),
  service         text COLLATE "C",
  environment     text COLLATE "C",
  version         text COLLATE "C",
  before          jsonb,
  after           jsonb,
  PRIMARY KEY (tenant, revision)
);

CREATE FUNCTION refuse_change_log_edit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the change log is append-only';
END $$;

CREATE TRIGGER changes_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON changes
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_log_edit();

-- What the stream has not acknowledged yet.
CREATE TABLE outbox (
  tenant   text COLLATE "C" NOT NULL,
  revision bigint NOT NULL,
  PRIMARY KEY (tenant, revision)
);

-- First replies by request id, for 24 hours.
CREATE TABLE request_replies (
  tenant      text COLLATE "C" NOT NULL,
  request_id  text COLLATE "C" NOT NULL,
  fingerprint text NOT NULL,
  revision    bigint NOT NULL,
  outcomes    jsonb NOT NULL,
  create_time timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant, request_id)
);
CREATE INDEX request_replies_create_time ON request_replies (create_time);
