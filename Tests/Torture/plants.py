"""Faults that the checker has to find, each planted in the database: `scripts/torture --plant NAME` must not exit 0."""


def trigger(table, when, body, condition="random() < 0.02"):
    return f"""
        CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF {condition} THEN {body}; END IF;
            RETURN NEW;
        END
        $$;
        CREATE TRIGGER planted BEFORE {when} ON {table} FOR EACH ROW EXECUTE FUNCTION planted();
        """


PLANTS = {
    # A session that was answered with 201 is gone when it is looked at.
    "lost row": """
        CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN DELETE FROM link_sessions WHERE id = NEW.session_id AND random() < 0.02; RETURN NULL; END
        $$;
        ALTER FUNCTION planted() SECURITY DEFINER;
        CREATE TRIGGER planted AFTER INSERT ON link_session_events FOR EACH ROW EXECUTE FUNCTION planted();
        """,
    # As if a later caller had completed it once more: the first was told another time.
    "second completion": """
        CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN
            UPDATE link_sessions SET completed_at = completed_at + interval '1 second'
            WHERE id = NEW.session_id AND NEW.event = 'completed' AND random() < 0.02;
            RETURN NULL;
        END
        $$;
        CREATE TRIGGER planted AFTER INSERT ON link_session_events FOR EACH ROW EXECUTE FUNCTION planted();
        """,
    "completion after the time": trigger(
        "link_sessions", "INSERT", "NEW.expires_at := NEW.expires_at + interval '10 seconds'", "true"),
    # As if the rows of creates that went together had been mixed up.
    "session of another user": trigger("link_sessions", "INSERT", "NEW.user_id := 'another'"),
    "end that is not told": trigger(
        "link_session_events", "INSERT", "RETURN NULL", "NEW.event IN ('expired', 'completed') AND random() < 0.02"),
    "end that is told twice": """
        DROP INDEX link_session_events_end;
        CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN
            IF NEW.event = 'completed' AND random() < 0.02 THEN
                INSERT INTO link_session_events (session_id, shard, manufacturer_id, event, request_id, position)
                VALUES (NEW.session_id, NEW.shard, NEW.manufacturer_id, 'expired', 'planted', 0);
            END IF;
            RETURN NULL;
        END
        $$;
        CREATE TRIGGER planted AFTER INSERT ON link_session_events FOR EACH ROW EXECUTE FUNCTION planted();
        """,
    # As if the statement that makes a change took the position itself: what commits late is passed over.
    "position before the commit": trigger(
        "link_session_events", "INSERT",
        "NEW.position := extract(epoch FROM clock_timestamp()) * 1000000 + random() * 20000;"
        "PERFORM pg_sleep(random() * 0.3)", "NEW.position = 0 AND random() < 0.2"),
    "event at another manufacturer": trigger(
        "link_session_events", "INSERT", "NEW.manufacturer_id := 1 + NEW.manufacturer_id % 6"),
    "first look that is not told": trigger(
        "link_session_events", "INSERT", "RETURN NULL", "NEW.event = 'opened' AND random() < 0.02"),
    "idempotent create that makes two": trigger(
        "idempotency_keys", "INSERT", "NEW.key_hash := sha256(NEW.key_hash || random()::text::bytea)",
        "random() < 0.1"),
    # No replica learns of a key that is revoked.
    "revoked key that lives": "DROP TRIGGER api_keys_raise_version ON api_keys;"
    "CREATE TRIGGER planted AFTER INSERT ON api_keys FOR EACH STATEMENT EXECUTE FUNCTION raise_control_plane_version()",
}
