-- The change log as history: read by filter, by time and by resource, and shortened at its old end by one path only.
-- Which indexes, and what each costs a write: src/decisions/0006-the-change-log-as-history.md.

-- How far the log has been shortened. No row: never.
CREATE TABLE compactions (
  tenant   text COLLATE "C" PRIMARY KEY REFERENCES tenants,
  -- Changes up to this revision, the last one of its transaction, have been removed.
  revision bigint NOT NULL CHECK (revision >= 1)
);

-- NULLS FIRST, though there are none, so that only these indexes have the order that the reads of history ask for. They, too, say
-- NULLS FIRST (or DESC NULLS LAST): else the planner may walk the primary key in the hope to meet a value soon that is frequent in the
-- table, and rare in this tenant; it knows frequencies, but not by tenant.

-- Of one route (or policy: no version), in order: what it was at a revision is `before` of its first change after that.
CREATE INDEX changes_by_subject ON changes (tenant, service, environment, version, revision NULLS FIRST);
-- One for each filter of ListChanges, in the order of the pages, so that a page is read from where it begins and ends.
CREATE INDEX changes_by_service ON changes (tenant, service, revision NULLS FIRST);
CREATE INDEX changes_by_environment ON changes (tenant, environment, revision NULLS FIRST);
CREATE INDEX changes_by_version ON changes (tenant, version, revision NULLS FIRST);
CREATE INDEX changes_by_action ON changes (tenant, action, revision NULLS FIRST);
CREATE INDEX changes_by_actor ON changes (tenant, actor, revision NULLS FIRST);
CREATE INDEX changes_by_correlation_id ON changes (tenant, correlation_id, revision NULLS FIRST);

-- The table only grows at its end: 2 % and 5 % instead of 10 % and 20 %, so that new actors and versions are soon known to the
-- planner, and what is new is soon read from the indexes alone.
ALTER TABLE changes SET (autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);

-- Stops mistakes, not somebody who means it: who owns the table can drop the trigger (deploy/postgres-roles.sql takes the
-- application's role out of that position).
CREATE OR REPLACE FUNCTION refuse_change_log_edit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' AND current_setting('traffic_manager.compacting', true) = 'on' THEN
    RETURN NULL;
  END IF;
  RAISE EXCEPTION 'the change log is append-only' USING HINT = 'Old changes are removed by compact_changes() alone.';
END $$;

-- Removes changes of one tenant that are older than `keep`, about `batch` of them, and answers how many: call again until 0. What
-- stays begins with a whole transaction: the last one from before `keep`, because its values held when that time began; so the
-- newest transaction always stays. What waits in the outbox for a change that is removed goes with it: there is nothing left to send.
-- One caller at a time. The setting lasts as long as the call.
CREATE FUNCTION compact_changes(in_tenant text, keep interval, batch bigint) RETURNS bigint
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
  DELETE FROM outbox o WHERE o.tenant = in_tenant AND o.revision <= target;
  DELETE FROM changes c WHERE c.tenant = in_tenant AND c.revision > removed AND c.revision <= target;
  GET DIAGNOSTICS count = ROW_COUNT;
  INSERT INTO compactions VALUES (in_tenant, target) ON CONFLICT (tenant) DO UPDATE SET revision = excluded.revision;
  RETURN count;
END $$;
