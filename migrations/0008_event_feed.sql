-- The feed of events: the order in which manufacturers read what is in link_session_events.
--
-- A number that a transaction takes says nothing about when it commits: a reader would pass over one that comes late. So
-- the statement that makes a change leaves its events without a position, and one caller at a time gives positions to
-- those that are committed. Each is greater than all that anybody can have read, whatever the clock does, on whichever
-- node the events lie, and after a failover or in a restored dump.

ALTER TABLE manufacturers ADD COLUMN expires_unopened boolean NOT NULL DEFAULT false;

COMMENT ON COLUMN manufacturers.expires_unopened IS
    'Sessions that nobody opened have an event when their time is over, too.';

CREATE TABLE event_feed (
    only_row               boolean NOT NULL DEFAULT true,
    last_position          bigint NOT NULL DEFAULT 0,
    readable_position      bigint NOT NULL DEFAULT 0,
    most_ahead             bigint NOT NULL DEFAULT 0,
    expired_until          uuid NOT NULL,
    expired_for_sure_until uuid NOT NULL,
    CONSTRAINT event_feed_pkey PRIMARY KEY (only_row),
    CONSTRAINT event_feed_one_row CHECK (only_row)
);

COMMENT ON COLUMN event_feed.last_position IS 'Microseconds since 1970, or more where several events have the same.';
COMMENT ON COLUMN event_feed.readable_position IS
    'Positions until there are seen on every node. Behind last_position where nodes of a cluster have yet to commit.';
COMMENT ON COLUMN event_feed.most_ahead IS
    'By how many microseconds a position was ever ahead of its time: much, where a clock was ahead and stepped back.';
COMMENT ON COLUMN event_feed.expired_until IS 'Sessions with smaller ids were looked at when their time was over.';
COMMENT ON COLUMN event_feed.expired_for_sure_until IS
    'And once more, a quarter of an hour later: what was under way, or made by a clock that was slow, was passed over.';

INSERT INTO event_feed (expired_until, expired_for_sure_until)
VALUES (first_id_at(statement_timestamp()), first_id_at(statement_timestamp()));

SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- The sessions that can have events behind a position have this id or a greater one: events come within a day of their
-- session.
CREATE FUNCTION sessions_since(at bigint) RETURNS uuid
    LANGUAGE sql STABLE STRICT AS $$
    SELECT first_id_at(
        timestamptz 'epoch'
            + greatest(0, least(at, last_position) - most_ahead - 86400000000) * interval '1 microsecond')
    FROM event_feed
$$;

-- The ends of the sessions between the ids, which are over and were opened, or whose manufacturer wants to know of all:
-- at most so many, with the positions that follow. Returns until which id all have theirs.
CREATE FUNCTION add_expired_events(first uuid, INOUT before uuid, most integer, INOUT last_position bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    now CONSTANT timestamptz := clock_timestamp();
    all_of CONSTANT bigint[] := ARRAY(SELECT id FROM manufacturers WHERE expires_unopened);
    ids uuid[];
    shards smallint[];
    owners bigint[];
BEGIN
    SELECT array_agg(due.id), array_agg(due.shard), array_agg(due.manufacturer_id) INTO ids, shards, owners
    FROM (
        SELECT s.id, s.shard, s.manufacturer_id FROM link_sessions s
        WHERE s.id >= first AND s.id < before AND s.completed_at IS NULL AND s.expires_at <= now
          AND (s.opened_at IS NOT NULL OR s.sign_ins > 0 OR s.manufacturer_id = ANY (all_of))
          AND NOT EXISTS (
              SELECT 1 FROM link_session_events e
              WHERE e.session_id = s.id AND e.shard = s.shard AND e.session_id >= first AND e.session_id < before
                AND e.event IN ('completed', 'expired', 'expired_early'))
        ORDER BY s.id LIMIT most
    ) AS due;
    IF ids IS NULL THEN
        RETURN;
    END IF;
    -- One that is ending at this moment has its end from elsewhere. It is rare, and to look for it takes as long again as
    -- to insert.
    BEGIN
        INSERT INTO link_session_events (session_id, shard, manufacturer_id, event, request_id, position)
        SELECT id, shard, owner, 'expired', 'expiry', last_position + number
        FROM unnest(ids, shards, owners) WITH ORDINALITY AS due (id, shard, owner, number);
    EXCEPTION WHEN unique_violation THEN
        INSERT INTO link_session_events (session_id, shard, manufacturer_id, event, request_id, position)
        SELECT id, shard, owner, 'expired', 'expiry', last_position + number
        FROM unnest(ids, shards, owners) WITH ORDINALITY AS due (id, shard, owner, number)
        ON CONFLICT DO NOTHING;
    END;
    last_position := last_position + cardinality(ids);
    IF cardinality(ids) = most THEN
        before := ids[most];
    END IF;
END
$$;

-- Whether no node of a cluster has a transaction that it was told to prepare and not yet to commit; true where there is
-- no cluster.
CREATE FUNCTION all_nodes_have_committed() RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    is_so boolean := true;
BEGIN
    IF to_regclass('pg_dist_partition') IS NOT NULL THEN
        EXECUTE $query$
            SELECT coalesce(bool_and(success AND result = '0'), true) FROM run_command_on_workers(
                -- Those of Citus alone: another program's that was forgotten must not hold up the feed.
                $node$SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database() AND gid LIKE 'citus%'$node$)
            $query$ INTO is_so;
    END IF;
    RETURN is_so;
END
$$;

-- Gives positions to the events that are committed and have none, and adds those of sessions whose time is over: at most
-- so many of each. Returns no row where another caller is at work.
--
-- Sessions are a day old at most where the whole is not looked through.
CREATE FUNCTION advance_event_feed(
    most integer, whole boolean, OUT added bigint, OUT is_done boolean,
    OUT opened bigint, OUT refused bigint, OUT completed bigint, OUT confirmed bigint, OUT expired_early bigint, OUT expired bigint)
    RETURNS SETOF record
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '1s' AS $$
DECLARE
    feed event_feed;
    now CONSTANT timestamptz := clock_timestamp();
    oldest CONSTANT uuid := first_id_at(CASE WHEN whole THEN timestamptz 'epoch' ELSE now - interval '1 day' END);
    -- A statement that began in time may take so long.
    over CONSTANT uuid := first_id_at(now - interval '602 seconds');
    over_for_sure CONSTANT uuid := first_id_at(now - interval '25 minutes');
    time CONSTANT bigint := extract(epoch FROM now) * 1000000;
    start bigint;
    last bigint;
    reached uuid;
    looked_twice boolean;
    ids uuid[];
    shards smallint[];
    events text[];
    request_ids text[];
    first_id uuid;
    last_id uuid;
BEGIN
    SELECT * INTO feed FROM event_feed FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    -- A cluster's nodes commit one after the other: a reader could see a position on one of them, and pass over a lesser
    -- one that comes on another. So all are read when the nodes have committed, and none is given before.
    IF feed.readable_position < feed.last_position THEN
        SELECT 0, 0, 0, 0, 0, 0, 0 INTO added, opened, refused, completed, confirmed, expired_early, expired;
        is_done := true;
        IF all_nodes_have_committed() THEN
            UPDATE event_feed SET readable_position = last_position;
            is_done := false;
        END IF;
        RETURN NEXT;
        RETURN;
    END IF;
    start := greatest(feed.last_position, time);
    last := start;
    is_done := true;

    SELECT array_agg(w.session_id), array_agg(w.shard), array_agg(w.event), array_agg(w.request_id)
        INTO ids, shards, events, request_ids
    FROM (
        SELECT e.session_id, e.shard, e.event, e.request_id FROM link_session_events e
        WHERE e.position = 0 AND e.session_id >= oldest
        ORDER BY e.occurred_at, e.session_id, e.event LIMIT most
    ) AS w;
    IF ids IS NOT NULL THEN
        SELECT id INTO first_id FROM unnest(ids) AS id ORDER BY id LIMIT 1;
        SELECT id INTO last_id FROM unnest(ids) AS id ORDER BY id DESC LIMIT 1;
        UPDATE link_session_events e SET position = start + w.number
        FROM unnest(ids, shards, events, request_ids) WITH ORDINALITY AS w (session_id, shard, event, request_id, number)
        WHERE e.session_id = w.session_id AND e.shard = w.shard AND e.event = w.event AND e.request_id = w.request_id
          AND e.session_id BETWEEN first_id AND last_id;
        last := last + cardinality(ids);
        is_done := cardinality(ids) < most;
    END IF;
    SELECT count(*) FILTER (WHERE event = 'opened'), count(*) FILTER (WHERE event = 'sign_in_refused'),
           count(*) FILTER (WHERE event = 'completed'), count(*) FILTER (WHERE event = 'confirmed'),
           count(*) FILTER (WHERE event = 'expired_early'), count(*) FILTER (WHERE event = 'expired')
        INTO opened, refused, completed, confirmed, expired_early, expired
    FROM unnest(events) AS event;

    -- A clock that stepped back: the ids that it gives are looked at again.
    SELECT a.before, a.last_position INTO reached, last
    FROM add_expired_events(least(feed.expired_until, over), over, most, last) a;
    is_done := is_done AND reached = over;
    -- Now and then is soon enough.
    looked_twice := whole OR time_of(over_for_sure) - time_of(feed.expired_for_sure_until) > interval '1 minute';
    IF looked_twice THEN
        SELECT a.before, a.last_position INTO feed.expired_for_sure_until, last
        FROM add_expired_events(least(feed.expired_for_sure_until, over_for_sure), over_for_sure, most, last) a;
        is_done := is_done AND feed.expired_for_sure_until = over_for_sure;
    END IF;

    added := last - start;
    expired := expired + added - coalesce(cardinality(ids), 0);
    -- Where nothing happened nothing is written, but that the search begins later the next time.
    IF added > 0 OR looked_twice OR time_of(reached) - time_of(feed.expired_until) > interval '5 seconds' THEN
        UPDATE event_feed
        SET last_position = last,
            readable_position = CASE WHEN to_regclass('pg_dist_partition') IS NULL THEN last ELSE readable_position END,
            most_ahead = greatest(most_ahead, last - time), expired_until = reached, expired_for_sure_until = feed.expired_for_sure_until;
    END IF;
    RETURN NEXT;
END
$$;

COMMENT ON FUNCTION advance_event_feed IS 'Gives events their positions. added: so many. is_done: no more wait. The others: how many of each kind.';

REVOKE EXECUTE ON FUNCTION advance_event_feed, add_expired_events, all_nodes_have_committed FROM PUBLIC;
GRANT EXECUTE ON FUNCTION advance_event_feed TO link_session_service;
GRANT EXECUTE ON FUNCTION sessions_since TO link_session_service, link_session_operator;
GRANT SELECT ON event_feed TO link_session_service, link_session_operator;
GRANT INSERT (manufacturer_id, position) ON link_session_events TO link_session_service;
GRANT UPDATE (opened_at) ON link_sessions TO link_session_service;
