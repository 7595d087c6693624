-- GDPR, article 17: the only deletions there are, besides those by age, for callers without the right to delete.

-- What was erased, to be erased again after a restore. A digest is keyed, and its key is in no database: so nobody
-- learns from it whom it stands for.
CREATE TABLE erasures (
    digest    bytea NOT NULL,
    erased_at timestamptz NOT NULL,
    CONSTRAINT erasures_pkey PRIMARY KEY (digest),
    CONSTRAINT erasures_digest_is_sha256 CHECK (octet_length(digest) = 32)
);

COMMENT ON COLUMN erasures.digest IS 'HMAC-SHA-256 of a manufacturer and its user, or of a supplier and its user.';

SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- The ids of all sessions of a manufacturer's user, in order.
CREATE FUNCTION session_ids_of_user(owner bigint, of_user text) RETURNS uuid[]
    LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(id ORDER BY id), '{}')
    FROM session_ids(
        owner, of_user, '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff', 2147483646) AS id
$$;

-- What belongs to sessions that were just deleted, and the NOX users of these users, where no other session keeps them:
-- one that is completed, or that may be at this moment.
CREATE FUNCTION erase_rest(
    ids uuid[], owners bigint[], user_ids text[], erased_digest bytea,
    OUT events bigint, OUT sign_ins bigint, OUT nox_user_ids uuid[], OUT erased_at timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    -- The ids are in order: the first and the last tell which partitions have them.
    first uuid := ids[1];
    last uuid := ids[cardinality(ids)];
    nox_user_id uuid;
    others uuid[];
BEGIN
    DELETE FROM link_session_events e WHERE e.session_id = ANY (ids) AND e.session_id BETWEEN first AND last;
    GET DIAGNOSTICS events = ROW_COUNT;
    DELETE FROM sign_ins i WHERE i.session_id = ANY (ids) AND i.session_id BETWEEN first AND last;
    GET DIAGNOSTICS sign_ins = ROW_COUNT;
    -- Their keys are free again: what is sent again makes a new session.
    DELETE FROM idempotency_keys k WHERE k.session_id = ANY (ids);
    -- A receiver may have said anything of them. Whoever records an answer has this lock, and finds that the session is
    -- gone, or has recorded it before.
    PERFORM 1 FROM webhook_states w JOIN webhook_endpoints e ON e.id = w.endpoint_id
    WHERE e.manufacturer_id = ANY (owners) ORDER BY w.endpoint_id FOR UPDATE OF w;
    DELETE FROM webhook_deliveries d WHERE d.session_id = ANY (ids);
    DELETE FROM webhook_retries r WHERE r.session_id = ANY (ids);
    nox_user_ids := '{}';
    FOR number IN 1 .. cardinality(owners) LOOP
        others := session_ids_of_user(owners[number], user_ids[number]);
        PERFORM 1 FROM link_sessions s
        WHERE s.id = ANY (others) AND s.id BETWEEN others[1] AND others[cardinality(others)]
          AND (s.completed_at IS NOT NULL OR s.expires_at > statement_timestamp())
        LIMIT 1;
        IF NOT FOUND THEN
            DELETE FROM nox_users u WHERE u.manufacturer_id = owners[number] AND u.user_id = user_ids[number]
            RETURNING u.id INTO nox_user_id;
            nox_user_ids := nox_user_ids || nox_user_id;
        END IF;
    END LOOP;
    erased_at := date_trunc('second', clock_timestamp());
    IF erased_digest IS NOT NULL THEN
        INSERT INTO erasures VALUES (erased_digest, erase_rest.erased_at)
        ON CONFLICT ON CONSTRAINT erasures_pkey DO UPDATE SET erased_at = excluded.erased_at;
    END IF;
END
$$;

CREATE FUNCTION erase_user(
    owner bigint, erased_user_id text, erased_digest bytea,
    OUT sessions bigint, OUT events bigint, OUT sign_ins bigint, OUT nox_user_ids uuid[], OUT erased_at timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    ids uuid[] := session_ids_of_user(owner, erased_user_id);
    linked uuid[];
BEGIN
    PERFORM record_operator_action('erase user', owner, NULL);
    sessions := 0;
    -- Citus finds no shard for none.
    IF cardinality(ids) > 0 THEN
        -- Sessions first: what is under way on one of them is over by the time that its row is locked.
        WITH gone AS (
            DELETE FROM link_sessions s WHERE s.id = ANY (ids) AND s.id BETWEEN ids[1] AND ids[cardinality(ids)]
            RETURNING s.id, s.nox_user_id
        )
        SELECT count(*), coalesce(array_agg(gone.id ORDER BY gone.id), '{}'), array_agg(gone.nox_user_id)
            INTO sessions, ids, linked FROM gone;
    END IF;
    SELECT r.events, r.sign_ins, r.nox_user_ids, r.erased_at INTO events, sign_ins, nox_user_ids, erased_at
    FROM erase_rest(ids, ARRAY[owner], ARRAY[erased_user_id], erased_digest) r;
    nox_user_ids := ARRAY(SELECT DISTINCT id FROM unnest(nox_user_ids || linked) AS id WHERE id IS NOT NULL ORDER BY id);
END
$$;

COMMENT ON FUNCTION erase_user IS 'Deletes every trace of a manufacturer''s user, and says how much there was.';

CREATE FUNCTION erase_supplier_user(
    erased_supplier text, erased_user_id text, erased_digest bytea,
    OUT sessions bigint, OUT events bigint, OUT sign_ins bigint, OUT nox_user_ids uuid[], OUT erased_at timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    ids uuid[];
    linked uuid[];
    owners bigint[];
    user_ids text[];
    unfinished bigint;
BEGIN
    PERFORM record_operator_action('erase user', NULL, erased_supplier);
    WITH gone AS (
        DELETE FROM link_sessions s WHERE s.supplier_user_id = erased_user_id AND s.supplier = erased_supplier
        RETURNING s.id, s.nox_user_id, s.manufacturer_id, s.user_id
    )
    SELECT count(*), coalesce(array_agg(gone.id ORDER BY gone.id), '{}'), array_agg(gone.nox_user_id),
           coalesce(array_agg(gone.manufacturer_id ORDER BY gone.id), '{}'),
           coalesce(array_agg(gone.user_id ORDER BY gone.id), '{}')
        INTO sessions, ids, linked, owners, user_ids FROM gone;
    SELECT r.events, r.sign_ins, r.nox_user_ids, r.erased_at INTO events, sign_ins, nox_user_ids, erased_at
    FROM erase_rest(ids, owners, user_ids, erased_digest) r;
    nox_user_ids := ARRAY(SELECT DISTINCT id FROM unnest(nox_user_ids || linked) AS id WHERE id IS NOT NULL ORDER BY id);
    -- Whoever signed in and did not confirm is known for as long as sign-ins are kept.
    DELETE FROM sign_ins i WHERE i.supplier_user_id = erased_user_id AND i.supplier = erased_supplier;
    GET DIAGNOSTICS unfinished = ROW_COUNT;
    sign_ins := sign_ins + unfinished;
END
$$;

COMMENT ON FUNCTION erase_supplier_user IS
    'Deletes the sessions that were completed with an account at a supplier, and every trace of the account.';
