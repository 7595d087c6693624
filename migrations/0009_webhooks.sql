-- Webhooks: where the events of the feed are sent to. Operators say to which endpoints, by migrations; what became of it
-- is the service's to write. An event's text is made from its session when it is sent, and is stored nowhere.

CREATE TABLE webhook_endpoints (
    id              bigint GENERATED ALWAYS AS IDENTITY,
    manufacturer_id bigint NOT NULL,
    url             text NOT NULL,
    types           text[],
    secret_salt     bytea NOT NULL,
    previous_secret_salt  bytea,
    previous_secret_until timestamptz,
    disabled_at     timestamptz,
    resumed_at      timestamptz,
    created_at      timestamptz NOT NULL DEFAULT date_trunc('second', now()),
    CONSTRAINT webhook_endpoints_pkey PRIMARY KEY (id),
    CONSTRAINT webhook_endpoints_manufacturer_fkey FOREIGN KEY (manufacturer_id) REFERENCES manufacturers (id),
    CONSTRAINT webhook_endpoints_url_valid CHECK (
        octet_length(url) <= 2048 AND url ~ '^(https://|http://(localhost|127\.0\.0\.1|\[::1\])([:/?]|$))[!-~]*$'),
    CONSTRAINT webhook_endpoints_types_known CHECK (
        cardinality(types) > 0 AND array_position(types, NULL) IS NULL AND types <@ ARRAY[
            'link_session.opened', 'link_session.sign_in_failed', 'link_session.completed', 'link_session.confirmed',
            'link_session.expired']),
    CONSTRAINT webhook_endpoints_salt_length CHECK (octet_length(secret_salt) = 16),
    CONSTRAINT webhook_endpoints_previous_secret CHECK (
        (previous_secret_salt IS NULL) = (previous_secret_until IS NULL)
        AND (octet_length(previous_secret_salt) = 16) IS NOT FALSE)
);

COMMENT ON COLUMN webhook_endpoints.types IS 'Which events it gets; NULL: all.';
COMMENT ON COLUMN webhook_endpoints.secret_salt IS
    'What its secret is derived from, by WEBHOOK_SECRETS; no secret, and of no use without these.';
COMMENT ON COLUMN webhook_endpoints.previous_secret_salt IS 'The one before, which signs too until previous_secret_until.';
COMMENT ON COLUMN webhook_endpoints.disabled_at IS 'Nothing is sent from then on.';
COMMENT ON COLUMN webhook_endpoints.resumed_at IS 'When an operator last said that sending goes on.';

CREATE TABLE webhook_states (
    endpoint_id          bigint NOT NULL,
    state                text NOT NULL DEFAULT 'active',
    reason               text,
    since                timestamptz NOT NULL DEFAULT clock_timestamp(),
    position             bigint NOT NULL,
    leased_by            uuid,
    leased_until         timestamptz,
    wanted_by            uuid,
    resumed_at           timestamptz,
    last_success_at      timestamptz,
    last_error           text,
    last_error_at        timestamptz,
    consecutive_failures integer NOT NULL DEFAULT 0,
    failing_since        timestamptz,
    CONSTRAINT webhook_states_pkey PRIMARY KEY (endpoint_id),
    CONSTRAINT webhook_states_endpoint_fkey FOREIGN KEY (endpoint_id) REFERENCES webhook_endpoints (id),
    CONSTRAINT webhook_states_state_known CHECK (state IN ('active', 'paused', 'stopped'))
);

COMMENT ON COLUMN webhook_states.state IS
    'paused: it failed for three days. stopped: it answered 410. Both until an operator resumes it.';
COMMENT ON COLUMN webhook_states.position IS 'Events of the feed until there were taken by the endpoint, or are in webhook_retries.';
COMMENT ON COLUMN webhook_states.leased_by IS 'The replica that sends to it, until leased_until.';
COMMENT ON COLUMN webhook_states.wanted_by IS
    'A replica with fewer endpoints, to which leased_by hands it over when nothing is under way.';
COMMENT ON COLUMN webhook_states.resumed_at IS 'That of webhook_endpoints for which the state was set to active.';

-- No foreign key here and below: no endpoint is ever deleted, and its trigger would run a query for every attempt.

-- Events that an endpoint did not take, each to be sent again by itself; and those that were under way when others behind
-- them were taken.
CREATE TABLE webhook_retries (
    endpoint_id     bigint NOT NULL,
    position        bigint NOT NULL,
    session_id      uuid NOT NULL,
    attempts        integer NOT NULL,
    first_failed_at timestamptz NOT NULL,
    next_attempt_at timestamptz,
    CONSTRAINT webhook_retries_pkey PRIMARY KEY (endpoint_id, position)
);

COMMENT ON COLUMN webhook_retries.next_attempt_at IS
    'NULL: it failed for three days while others were taken, and is tried again when an operator resumes the endpoint.';

CREATE INDEX webhook_retries_session ON webhook_retries (session_id);
-- For metrics: few or none, beside however many that wait.
CREATE INDEX webhook_retries_given_up ON webhook_retries (endpoint_id) WHERE next_attempt_at IS NULL;

-- Attempts, for operators: the latest of each endpoint.
CREATE TABLE webhook_deliveries (
    endpoint_id  bigint NOT NULL,
    attempted_at timestamptz NOT NULL,
    position     bigint NOT NULL,
    session_id   uuid NOT NULL,
    attempt      integer NOT NULL,
    status       integer,
    milliseconds integer NOT NULL,
    answer       text NOT NULL,
    CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (endpoint_id, attempted_at, position),
    CONSTRAINT webhook_deliveries_answer_length CHECK (char_length(answer) <= 200)
);

COMMENT ON COLUMN webhook_deliveries.status IS 'NULL: there was no answer.';
COMMENT ON COLUMN webhook_deliveries.answer IS
    'The first characters of the answer, or why there was none. The receiver may have said anything: it is deleted with the session.';

CREATE INDEX webhook_deliveries_session ON webhook_deliveries (session_id);

-- Stretches of the feed that are sent once more.
CREATE TABLE webhook_resends (
    id          bigint GENERATED ALWAYS AS IDENTITY,
    endpoint_id bigint NOT NULL,
    position    bigint NOT NULL,
    last        bigint NOT NULL,
    asked_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    done_at     timestamptz,
    CONSTRAINT webhook_resends_pkey PRIMARY KEY (id),
    CONSTRAINT webhook_resends_endpoint_fkey FOREIGN KEY (endpoint_id) REFERENCES webhook_endpoints (id),
    CONSTRAINT webhook_resends_in_order CHECK (position <= last)
);

COMMENT ON COLUMN webhook_resends.position IS 'Events until there need not be sent any more.';

CREATE INDEX webhook_resends_open ON webhook_resends (endpoint_id, id) WHERE done_at IS NULL;

SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- An endpoint gets what happens from now on.
CREATE FUNCTION add_webhook_state() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO webhook_states (endpoint_id, position) SELECT NEW.id, last_position FROM event_feed;
    RETURN NULL;
END
$$;

CREATE TRIGGER webhook_endpoints_add_state
    AFTER INSERT ON webhook_endpoints FOR EACH ROW EXECUTE FUNCTION add_webhook_state();

CREATE TRIGGER webhook_endpoints_record_change
    AFTER INSERT OR UPDATE OR DELETE ON webhook_endpoints FOR EACH ROW EXECUTE FUNCTION record_change();
CREATE TRIGGER webhook_endpoints_record_truncate
    AFTER TRUNCATE ON webhook_endpoints FOR EACH STATEMENT EXECUTE FUNCTION record_change();
CREATE TRIGGER webhook_resends_record_change
    AFTER INSERT ON webhook_resends FOR EACH ROW EXECUTE FUNCTION record_change();

-- Where the stretch of the feed ends that has the events until a time.
CREATE FUNCTION feed_position_until(at timestamptz) RETURNS bigint
    LANGUAGE sql STABLE STRICT AS $$
    SELECT least(last_position, (extract(epoch FROM at) * 1000000)::bigint + most_ahead) FROM event_feed
$$;

-- Whether a session was not erased: as it is when this is called, and not when the statement around it began, which may
-- have waited for an erasure.
CREATE FUNCTION session_is_there(id uuid, shard smallint) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SET search_path FROM CURRENT AS $$
BEGIN
    RETURN EXISTS (
        SELECT 1 FROM link_sessions s WHERE s.id = session_is_there.id AND s.shard = session_is_there.shard);
END
$$;

REVOKE EXECUTE ON FUNCTION add_webhook_state, session_is_there FROM PUBLIC;
GRANT EXECUTE ON FUNCTION session_is_there TO link_session_service;
GRANT EXECUTE ON FUNCTION feed_position_until TO link_session_operator;

GRANT SELECT ON webhook_endpoints TO link_session_service;
GRANT SELECT,
    UPDATE (state, reason, since, position, leased_by, leased_until, wanted_by, resumed_at, last_success_at, last_error, last_error_at,
            consecutive_failures, failing_since)
    ON webhook_states TO link_session_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_retries TO link_session_service;
GRANT SELECT, INSERT, DELETE ON webhook_deliveries TO link_session_service;
GRANT SELECT, UPDATE (position, done_at) ON webhook_resends TO link_session_service;

GRANT SELECT, INSERT, UPDATE ON webhook_endpoints TO link_session_operator;
GRANT SELECT, INSERT (endpoint_id, position, last) ON webhook_resends TO link_session_operator;
GRANT SELECT ON webhook_states, webhook_retries, webhook_deliveries TO link_session_operator;
