-- How often versions are looked up, as sidecars report it (src/decisions/0009-what-the-sidecar-caches.md, write-behind).

-- No reference to tenants: its check would lock the tenant's row, which every commit updates. Reports are joined with tenants and
-- routes instead, whose rows are never removed.
CREATE TABLE lookup_usage (
  tenant      text COLLATE "C" NOT NULL,
  -- All three empty: lookups that the sidecar did not tell apart.
  service     text COLLATE "C" NOT NULL,
  environment text COLLATE "C" NOT NULL,
  version     text COLLATE "C" NOT NULL,
  -- In which the reports arrived, UTC.
  hour        timestamptz(0) NOT NULL,
  lookups     bigint NOT NULL CHECK (lookups >= 1),
  PRIMARY KEY (tenant, service, environment, version, hour)
) WITH (fillfactor = 70); -- the rows of the hour are updated by every report: leave room to do so in their pages
CREATE INDEX lookup_usage_by_hour ON lookup_usage (hour);

-- The last report of each sidecar, so that its repetition adds nothing.
CREATE TABLE usage_reports (
  sidecar_id text COLLATE "C" PRIMARY KEY,
  sequence   bigint NOT NULL CHECK (sequence >= 1),
  -- To the hour: an index on more would make a new entry of every report.
  hour       timestamptz(0) NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX usage_reports_by_hour ON usage_reports (hour);
