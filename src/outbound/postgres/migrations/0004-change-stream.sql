-- The change stream: who publishes, and what is remembered of what was published (src/decisions/0008-the-change-stream.md).

-- Which changes are not published yet is known from the stream itself (its meta says how far it is), and the log has them: the
-- outbox cost every write a row, and every publish another.
DROP TABLE outbox;

CREATE OR REPLACE FUNCTION compact_changes(in_tenant text, keep interval, batch bigint) RETURNS bigint
LANGUAGE plpgsql SET traffic_manager.compacting = 'on' AS $$
DECLARE
  cutoff  timestamptz := clock_timestamp() - keep;
  removed bigint; -- up to here it is done already
  low     bigint;
  high    bigint;
  middle  bigint;
  target  bigint;
  count   bigint;
BEGIN
  IF keep < interval '1 day' THEN
    RAISE EXCEPTION 'changes are kept for a day at least: the replies to request ids are rebuilt from them';
  END IF;
  SELECT coalesce(c.revision, 0), t.revision INTO removed, high
    FROM tenants t LEFT JOIN compactions c ON c.tenant = t.tenant WHERE t.tenant = in_tenant;
  IF NOT FOUND THEN
    RETURN 0;
  END IF;

  -- The last change from before the cutoff, by halving: commit times never decrease. It ends its transaction.
  low := removed;
  WHILE low < high LOOP
    middle := (low + high + 1) / 2;
    IF (SELECT c.commit_time FROM changes c WHERE c.tenant = in_tenant AND c.revision = middle) < cutoff THEN
      low := middle;
    ELSE
      high := middle - 1;
    END IF;
  END LOOP;

  -- The end of the transaction before its own.
  SELECT c.revision INTO high FROM changes c
    WHERE c.tenant = in_tenant AND c.revision > removed AND c.revision < low AND c.revision = c.commit_revision
    ORDER BY c.revision DESC LIMIT 1;
  IF NOT FOUND THEN
    RETURN 0;
  END IF;

  -- A batch ends where a transaction does.
  SELECT c.commit_revision INTO target FROM changes c
    WHERE c.tenant = in_tenant AND c.revision = least(high, removed + greatest(batch, 1));
  DELETE FROM changes c WHERE c.tenant = in_tenant AND c.revision > removed AND c.revision <= target;
  GET DIAGNOSTICS count = ROW_COUNT;
  INSERT INTO compactions VALUES (in_tenant, target) ON CONFLICT (tenant) DO UPDATE SET revision = excluded.revision;
  RETURN count;
END $$;

-- The right to publish: one row, from the first claim on.
CREATE TABLE relay_lease (
  only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  holder     text NOT NULL,
  -- Rises whenever the right changes hands.
  term       bigint NOT NULL CHECK (term >= 1),
  expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- What the stream of a tenant has certainly reached, a few seconds ago: who finds less there has a stream that was rolled back or
-- replaced. And what the last comparison with Postgres came to.
CREATE TABLE stream_records (
  tenant   text COLLATE "C" PRIMARY KEY REFERENCES tenants,
  epoch    text NOT NULL,
  sequence bigint NOT NULL,
  revision bigint NOT NULL,
  report   jsonb
) WITH (fillfactor = 50);
