-- GDPR, article 17: the only deletions there are, besides those by age, for callers without the right to delete.

SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE FUNCTION erase_user(
    manufacturer text, erased_user_id text, OUT sessions bigint, OUT events bigint, OUT nox_user_id uuid,
    OUT erased_at timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    manufacturer_number bigint;
    ids uuid[];
BEGIN
    SELECT m.id INTO manufacturer_number FROM manufacturers m WHERE m.name = manufacturer;
    PERFORM ensure(FOUND, 'there is no manufacturer of this name');
    WITH gone AS (
        DELETE FROM link_sessions s WHERE s.manufacturer_id = manufacturer_number AND s.user_id = erased_user_id
        RETURNING s.id
    )
    SELECT count(*), array_agg(gone.id) INTO sessions, ids FROM gone;
    DELETE FROM link_session_events e WHERE e.session_id = ANY (ids);
    GET DIAGNOSTICS events = ROW_COUNT;
    DELETE FROM sign_ins i WHERE i.session_id = ANY (ids);
    -- After the sessions: a completion that was under way has made its row by now.
    -- A session that was made meanwhile keeps its user.
    IF NOT EXISTS (
        SELECT 1 FROM link_sessions s WHERE s.manufacturer_id = manufacturer_number AND s.user_id = erased_user_id)
    THEN
        DELETE FROM nox_users u WHERE u.manufacturer_id = manufacturer_number AND u.user_id = erased_user_id
        RETURNING u.id INTO nox_user_id;
    END IF;
    erased_at := date_trunc('second', clock_timestamp());
END
$$;

COMMENT ON FUNCTION erase_user IS 'Deletes every trace of a manufacturer''s user, and says how much there was.';
