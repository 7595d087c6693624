-- The partitions of sessions, events and sign-ins: one a day, by the day of the session's id (UTC). Made ahead by the
-- service; what has none yet lies in the default partition, so that nothing is ever refused for want of one.

SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE TABLE link_sessions_default PARTITION OF link_sessions DEFAULT;
CREATE TABLE link_session_events_default PARTITION OF link_session_events DEFAULT;
CREATE TABLE sign_ins_default PARTITION OF sign_ins DEFAULT;

-- The smallest id of a time: its milliseconds, and zeros.
CREATE FUNCTION first_id_at(at timestamptz) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

-- When an id was made, to the millisecond.
CREATE FUNCTION time_of(id uuid) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT timestamptz 'epoch' + ('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint * interval '1 millisecond'
$$;

-- One table's partition of one day, with the rows of that day that lie in the default partition.
CREATE FUNCTION add_partition(parent text, day date) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '100ms' AS $$
DECLARE
    name text := format('%s_%s', parent, to_char(day, 'YYYYMMDD'));
    first uuid := first_id_at(day::timestamp AT TIME ZONE 'UTC');
    next uuid := first_id_at((day + 1)::timestamp AT TIME ZONE 'UTC');
    key text := CASE parent WHEN 'link_sessions' THEN 'id' ELSE 'session_id' END;
    is_late boolean;
BEGIN
    IF to_regclass(name) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('SELECT count(*) > 0 FROM (SELECT 1 FROM %I WHERE %I >= $1 AND %2$I < $2 LIMIT 1) AS late', parent || '_default', key)
        INTO is_late USING first, next;
    -- Rows of a day that is not over come and change all the time: they are moved when it is.
    IF is_late AND statement_timestamp() < (day + 1)::timestamp AT TIME ZONE 'UTC' + interval '2 hours' THEN
        RETURN false;
    END IF;
    -- Attached when it is whole: `CREATE TABLE … PARTITION OF` would hold up everybody meanwhile.
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)', name, parent);
    -- What `admin distribute` did to its parent. Once attached it would be distributed as well, under the lock, and what
    -- was moved into it would stay behind as a copy.
    IF to_regclass('pg_dist_partition') IS NOT NULL THEN
        EXECUTE 'SELECT create_distributed_table($1::regclass, ''shard'', colocate_with => $2) '
            'FROM pg_dist_partition WHERE logicalrelid = $2::regclass' USING name, parent;
    END IF;
    IF is_late THEN
        EXECUTE format('LOCK TABLE %I IN SHARE ROW EXCLUSIVE MODE', parent || '_default');
        EXECUTE format('INSERT INTO %I SELECT * FROM %I WHERE %I >= $1 AND %3$I < $2', name, parent || '_default', key)
            USING first, next;
        EXECUTE format('DELETE FROM %I WHERE %I >= $1 AND %2$I < $2', parent || '_default', key) USING first, next;
    END IF;
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, name, first, next);
    RETURN true;
END
$$;

-- One step of what the service does all the time, and `purge` by hand: makes a table's partition of one of the days to
-- come, or drops those of a day that ended more than so many days ago, with all that is in them. Each step is a
-- transaction, so that its locks are held for milliseconds. Returns no row where another caller is at work.
CREATE FUNCTION maintain_partitions(
    retention_days integer, OUT added bigint, OUT deleted bigint, OUT is_done boolean)
    RETURNS SETOF record
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '100ms' AS $$
DECLARE
    -- Sessions last: where they lie in the default partition, their day is found until it is done.
    parents CONSTANT text[] := ARRAY['link_session_events', 'sign_ins', 'link_sessions'];
    today date := (statement_timestamp() AT TIME ZONE 'UTC')::date;
    first_kept date := today - retention_days;
    late date;
    day date;
    parent text;
    old text;
    oldest uuid;
    -- Sessions with smaller ids are so old that their Idempotency-Keys are free again.
    free uuid := first_id_at(statement_timestamp() - interval '24 hours');
BEGIN
    PERFORM ensure(retention_days >= 1, 'retention must be at least one day');
    -- An arbitrary number that means this and nothing else in this database.
    IF NOT pg_try_advisory_xact_lock(5830174926613388) THEN
        RETURN;
    END IF;
    added := 0;
    deleted := 0;
    is_done := false;

    -- The day of the oldest row that lies in the default partition, where that day is over.
    SELECT id INTO oldest FROM link_sessions_default
    WHERE id >= first_id_at(first_kept::timestamp AT TIME ZONE 'UTC') ORDER BY id LIMIT 1;
    late := time_of(oldest) AT TIME ZONE 'UTC';
    FOR day IN SELECT today + n FROM generate_series(0, 7) AS n UNION ALL SELECT late WHERE late < today LOOP
        FOREACH parent IN ARRAY parents LOOP
            IF add_partition(parent, day) THEN
                added := 1;
                RETURN NEXT;
                RETURN;
            END IF;
        END LOOP;
    END LOOP;

    -- The name says the day; a session's events and sign-ins are in the partitions of its own day.
    SELECT right(c.relname, 9) INTO old FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'link_sessions'::regclass AND c.relname ~ '^link_sessions_[0-9]{8}$'
      AND to_date(right(c.relname, 8), 'YYYYMMDD') < first_kept
    ORDER BY c.relname LIMIT 1;
    IF FOUND THEN
        EXECUTE format('SELECT count(*) FROM %I', 'link_sessions' || old) INTO deleted;
        -- In the order in which a request locks them: a completion that waits for one holds the one before.
        LOCK TABLE ONLY link_sessions, link_session_events, sign_ins IN ACCESS EXCLUSIVE MODE;
        FOREACH parent IN ARRAY parents LOOP
            EXECUTE format('DROP TABLE IF EXISTS %I', parent || old);
        END LOOP;
        RETURN NEXT;
        RETURN;
    END IF;

    -- Those of ten seconds, since a day may have had millions.
    SELECT session_id INTO oldest FROM idempotency_keys
    WHERE session_id < free AND expires_at <= statement_timestamp() ORDER BY session_id LIMIT 1;
    IF FOUND THEN
        free := least(free, first_id_at(time_of(oldest) + interval '10 seconds'));
        DELETE FROM idempotency_keys
        WHERE session_id >= oldest AND session_id < free AND expires_at <= statement_timestamp();
        RETURN NEXT;
        RETURN;
    END IF;

    -- A clock that was wrong may have left rows of any time.
    DELETE FROM link_sessions_default WHERE id < first_id_at(first_kept::timestamp AT TIME ZONE 'UTC');
    GET DIAGNOSTICS deleted = ROW_COUNT;
    DELETE FROM link_session_events_default WHERE session_id < first_id_at(first_kept::timestamp AT TIME ZONE 'UTC');
    -- By then their sessions have no pages any more. They know accounts of people who linked nothing.
    DELETE FROM sign_ins WHERE session_id < first_id_at(statement_timestamp() - interval '130 minutes');
    DELETE FROM nox_users WHERE last_linked_on < today - 400;
    -- No backup from before holds anything by then that is kept so long.
    DELETE FROM erasures WHERE erased_at < statement_timestamp() - make_interval(days => greatest(400, retention_days));
    -- What is known of sending events that are gone.
    DELETE FROM webhook_deliveries WHERE session_id < first_id_at(first_kept::timestamp AT TIME ZONE 'UTC');
    DELETE FROM webhook_retries WHERE session_id < first_id_at(first_kept::timestamp AT TIME ZONE 'UTC');
    DELETE FROM webhook_resends WHERE asked_at < statement_timestamp() - interval '400 days';
    DELETE FROM supplier_outcomes WHERE minute < statement_timestamp() - interval '1 day';
    DELETE FROM operator_actions WHERE occurred_at < statement_timestamp() - interval '400 days';
    is_done := true;
    RETURN NEXT;
END
$$;

COMMENT ON FUNCTION maintain_partitions IS
    'Makes one partition, or drops those of one day. is_done: there was nothing more to make or to drop.';

-- Those of the first week, so that the first session finds its day's: a row that lies in the default partition keeps its
-- day's from being made before the day is over.
SELECT count(add_partition(parent, (statement_timestamp() AT TIME ZONE 'UTC')::date + day))
FROM unnest(ARRAY['link_sessions', 'link_session_events', 'sign_ins']) AS parent, generate_series(0, 7) AS day;

-- Writes a file that is gone at once, since a database whose disk is full still answers. Refused with 53100 where there is
-- no room for it. Nothing of it is in the WAL.
CREATE FUNCTION write_temporary_file() RETURNS void
    LANGUAGE plpgsql SET work_mem = '64kB' AS $$
BEGIN
    -- More to sort than work_mem has room for.
    PERFORM content FROM (SELECT i, repeat('x', 8000) AS content FROM generate_series(1, 32) AS i) AS file ORDER BY i DESC;
END
$$;
