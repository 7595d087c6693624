-- Deletions of link sessions: the only ones there are, for callers without the right to delete.
-- A session's events go with it.

-- The search path is the schema of the tables and nothing that a caller could put before it.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- Functions are named with their schema where a caller's overload of another signature would match better.

-- Walks the table a piece at a time: however large it is, a call takes milliseconds.
-- Returns no row where another caller is at work.
CREATE FUNCTION purge_link_sessions(
    retention_days integer, first_block bigint, OUT deleted bigint, OUT next_block bigint)
    RETURNS SETOF record
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    -- 64 pages hold some 3,000 sessions.
    last_block bigint := first_block + 64;
    hashes bytea[];
BEGIN
    PERFORM ensure(retention_days >= 1, 'retention must be at least one day');
    -- An arbitrary number that means this and nothing else in this database.
    IF NOT pg_try_advisory_xact_lock(5830174926613388) THEN
        RETURN;
    END IF;
    WITH gone AS (
        DELETE FROM link_sessions
        WHERE ctid >= pg_catalog.format('(%s,0)', first_block)::tid
          AND ctid < pg_catalog.format('(%s,0)', last_block)::tid
          AND created_at < pg_catalog.statement_timestamp() - pg_catalog.make_interval(days => retention_days)
        RETURNING token_hash
    )
    SELECT count(*), array_agg(token_hash) INTO deleted, hashes FROM gone;
    DELETE FROM link_session_events USING unnest(hashes) AS hash WHERE token_hash = hash;
    IF last_block * pg_catalog.current_setting('block_size')::bigint
        < pg_catalog.pg_relation_size('link_sessions'::regclass)
    THEN
        next_block := last_block;
    END IF;
    RETURN NEXT;
END
$$;

COMMENT ON FUNCTION purge_link_sessions IS
    'Deletes the sessions of 64 pages that are older than so many days. next_block is NULL at the end of the table.';

-- The walk needs no index, and nothing else reads this one.
DROP INDEX link_sessions_created_at;

-- GDPR, article 17.
CREATE FUNCTION erase_user(
    manufacturer text, erased_user_id text, OUT sessions bigint, OUT events bigint, OUT erased_at timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    manufacturer_number bigint;
    hashes bytea[];
BEGIN
    SELECT id INTO manufacturer_number FROM manufacturers WHERE name = manufacturer;
    PERFORM ensure(FOUND, 'there is no manufacturer of this name');
    WITH gone AS (
        DELETE FROM link_sessions WHERE manufacturer_id = manufacturer_number AND user_id = erased_user_id
        RETURNING token_hash
    )
    SELECT count(*), array_agg(token_hash) INTO sessions, hashes FROM gone;
    DELETE FROM link_session_events USING unnest(hashes) AS hash WHERE token_hash = hash;
    GET DIAGNOSTICS events = ROW_COUNT;
    erased_at := date_trunc('second', clock_timestamp());
END
$$;

COMMENT ON FUNCTION erase_user IS 'Deletes every trace of a manufacturer''s user, and says how much there was.';
