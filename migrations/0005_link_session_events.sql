-- What support asks about a session and its own row does not tell. Append-only, without personal data.
--
-- No foreign key: its trigger would run a query for every session that is deleted. Instead whoever adds an event holds a
-- lock on the session's row, and whoever deletes sessions deletes their events after that, in a statement of its own: it
-- sees those that came before, and none can follow.

CREATE TABLE link_session_events (
    token_hash  bytea NOT NULL,
    event       text NOT NULL,
    reason      text,
    request_id  text NOT NULL,
    occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- A statement that is sent again after a broken connection records nothing twice.
    CONSTRAINT link_session_events_pkey PRIMARY KEY (token_hash, event, request_id),
    CONSTRAINT link_session_events_event_known CHECK (event IN ('looked_up', 'expired_early', 'completion_refused')),
    CONSTRAINT link_session_events_reason_of_refusal CHECK ((event = 'completion_refused') = (reason IS NOT NULL)),
    CONSTRAINT link_session_events_reason_known CHECK (reason IN ('expired')),
    CONSTRAINT link_session_events_request_id_valid CHECK (request_id ~ '^[A-Za-z0-9._-]{1,64}$')
);

COMMENT ON COLUMN link_session_events.event IS
    'looked_up: the Authenticator''s first look. expired_early: by the manufacturer. completion_refused: see reason.';

-- Of racing first looks one is the first.
CREATE UNIQUE INDEX link_session_events_first_look ON link_session_events (token_hash) WHERE event = 'looked_up';

CREATE FUNCTION refuse_change() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the table % is append-only', TG_TABLE_NAME;
END
$$;

CREATE TRIGGER link_session_events_append_only BEFORE UPDATE ON link_session_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
