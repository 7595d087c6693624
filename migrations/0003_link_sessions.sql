-- Link sessions, and what happened to each of them. A session, its events and its sign-ins carry its id and its shard,
-- and lie together: in the partition of the session's day, and on one node where the tables are distributed by shard.
-- Nothing here refers to the tables of the control plane: whoever writes has checked them in its copy.

CREATE TABLE link_sessions (
    id               uuid NOT NULL,
    shard            smallint NOT NULL,
    token_hash       bytea NOT NULL,
    manufacturer_id  bigint NOT NULL,
    user_id          text NOT NULL,
    redirect_url     text NOT NULL,
    language         text NOT NULL,
    created_at       timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL,
    completed_at     timestamptz,
    opened_at        timestamptz,
    sign_ins         smallint NOT NULL DEFAULT 0,
    supplier         text,
    supplier_user_id text,
    nox_user_id      uuid,
    completed_by     bytea,
    confirmed_at     timestamptz,
    preferred_supplier text,
    offered_suppliers  text[],
    metadata         jsonb,
    CONSTRAINT link_sessions_pkey PRIMARY KEY (id, shard),
    CONSTRAINT link_sessions_token_hash_is_sha256 CHECK (octet_length(token_hash) = 32),
    CONSTRAINT link_sessions_user_id_length CHECK (char_length(user_id) BETWEEN 1 AND 256),
    CONSTRAINT link_sessions_redirect_url_length CHECK (octet_length(redirect_url) BETWEEN 1 AND 2048),
    CONSTRAINT link_sessions_language_known CHECK (language IN ('nl', 'en', 'fr', 'es')),
    -- Equal where a session was expired in the second in which it was made.
    CONSTRAINT link_sessions_expires_after_creation CHECK (expires_at >= created_at),
    CONSTRAINT link_sessions_completed_while_open CHECK (completed_at BETWEEN created_at AND expires_at),
    -- One constraint for all of them, as below: each is paid for by every create.
    CONSTRAINT link_sessions_options_valid CHECK (
        num_nonnulls(preferred_supplier, offered_suppliers, metadata) = 0
        OR (preferred_supplier = ANY (offered_suppliers)) IS NOT FALSE
        AND (cardinality(offered_suppliers) BETWEEN 1 AND 50 AND array_position(offered_suppliers, NULL) IS NULL) IS NOT FALSE
        AND (jsonb_typeof(metadata) = 'object') IS NOT FALSE),
    CONSTRAINT link_sessions_link_of_completed CHECK (
        num_nonnulls(supplier, supplier_user_id, nox_user_id, completed_by, confirmed_at) = 0
        OR completed_at IS NOT NULL AND nox_user_id IS NOT NULL AND (supplier IS NULL) = (supplier_user_id IS NULL)
        AND (char_length(supplier_user_id) BETWEEN 1 AND 255) IS NOT FALSE
        AND (octet_length(completed_by) = 32) IS NOT FALSE AND (confirmed_at >= completed_at) IS NOT FALSE)
) PARTITION BY RANGE (id);

COMMENT ON COLUMN link_sessions.id IS 'A UUIDv7 (RFC 9562, section 5.7): public, and no secret.';
COMMENT ON COLUMN link_sessions.shard IS
    'The tenth byte of the id: the same for all rows of one INSERT, but for those with an Idempotency-Key, which have one a manufacturer.';
COMMENT ON COLUMN link_sessions.token_hash IS 'SHA-256 of the link token''s characters; the token itself is stored nowhere.';
COMMENT ON COLUMN link_sessions.user_id IS 'The manufacturer''s own id of its user, byte for byte as it was sent.';
COMMENT ON COLUMN link_sessions.preferred_supplier IS 'The supplier with which the page begins, where the manufacturer named one.';
COMMENT ON COLUMN link_sessions.offered_suppliers IS 'The only suppliers that are offered; NULL: all of them.';
COMMENT ON COLUMN link_sessions.metadata IS 'What the manufacturer keeps with the session, texts by name; the user never sees it.';
COMMENT ON COLUMN link_sessions.opened_at IS 'When its page was first seen, or the Authenticator first looked.';
COMMENT ON COLUMN link_sessions.sign_ins IS 'How many sign-ins were started.';
COMMENT ON COLUMN link_sessions.completed_by IS 'The sign-in that completed the session; NULL where the Authenticator API did.';
COMMENT ON COLUMN link_sessions.confirmed_at IS 'When the manufacturer''s backend said whose session it was.';

-- Where a user's sessions stand in the index below: beside those that other users of its manufacturer had in the same
-- turn of 4.7 hours (2^24 milliseconds, the last bits of the id's third byte), so that creates write to few of its pages,
-- whatever its size. Eight bytes: the manufacturer's last 24 bits, the turn, and 36 bits of a hash of the user.
CREATE FUNCTION user_key(manufacturer_id bigint, turn integer, user_id text) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ((manufacturer_id & 16777215) << 39) + (turn::bigint << 36) + (hashtextextended(user_id, 0) & 68719476735)
$$;

-- In all turns.
CREATE FUNCTION user_keys(manufacturer_id bigint, user_id text) RETURNS bigint[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array_agg(user_key(manufacturer_id, turn, user_id)) FROM generate_series(0, 7) AS turn
$$;

-- Whoever looks here has to compare the manufacturer and the user as well.
CREATE INDEX link_sessions_user ON link_sessions (user_key(manufacturer_id, get_byte(uuid_send(id), 2) & 7, user_id));

-- The ids of a manufacturer's sessions, or of those of one of its users, from the first without the last, in no order:
-- all, or more than `most` of them. By the index above, whatever the planner knows of a table that was just made.
CREATE FUNCTION session_ids(owner bigint, of_user text, first uuid, last uuid, most integer) RETURNS SETOF uuid
    LANGUAGE plpgsql STABLE
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET plan_cache_mode = auto AS $$
DECLARE
    -- A user has one key a turn; those of a manufacturer lie side by side.
    keys CONSTANT bigint[] := CASE WHEN of_user IS NULL THEN ARRAY[(owner & 16777215) << 39] ELSE user_keys(owner, of_user) END;
    low bigint;
    width CONSTANT bigint := CASE WHEN of_user IS NULL THEN 549755813887 ELSE 0 END;
BEGIN
    -- Planned once, and not for each turn: over many partitions that takes longer than the search. Citus needs the
    -- values to plan.
    PERFORM set_config('plan_cache_mode', 'force_generic_plan', true) WHERE to_regclass('pg_dist_partition') IS NULL;
    FOREACH low IN ARRAY keys LOOP
        RETURN QUERY SELECT s.id FROM link_sessions s
        WHERE user_key(s.manufacturer_id, get_byte(uuid_send(s.id), 2) & 7, s.user_id) BETWEEN low AND low + width
            AND s.manufacturer_id = owner AND (of_user IS NULL OR s.user_id = of_user)
            AND s.id >= first AND s.id < last
        ORDER BY user_key(s.manufacturer_id, get_byte(uuid_send(s.id), 2) & 7, s.user_id) LIMIT most + 1;
    END LOOP;
END
$$;

-- For support and erasures.
CREATE INDEX link_sessions_supplier_user ON link_sessions (supplier_user_id, supplier) WHERE supplier_user_id IS NOT NULL;

-- The creates with an Idempotency-Key of the last 24 hours: which session is the answer to one that is sent again. On one
-- node with that session, whose shard is its manufacturer's. Holds neither a token nor what it is derived with, and tells
-- nothing about the user.
CREATE TABLE idempotency_keys (
    shard        smallint NOT NULL,
    key_hash     bytea NOT NULL,
    session_id   uuid NOT NULL,
    request_hash bytea NOT NULL,
    secret_id    bigint NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    -- The hash first: it tells two rows apart by itself.
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (key_hash, shard),
    CONSTRAINT idempotency_keys_hashes_are_sha256 CHECK (octet_length(key_hash) = 32 AND octet_length(request_hash) = 32),
    CONSTRAINT idempotency_keys_expires_after_creation CHECK (expires_at > created_at)
);

COMMENT ON COLUMN idempotency_keys.key_hash IS 'SHA-256 of the manufacturer and its key.';
COMMENT ON COLUMN idempotency_keys.request_hash IS 'HMAC-SHA-256 of the request''s fields under the secret.';
COMMENT ON COLUMN idempotency_keys.secret_id IS 'Which of IDEMPOTENCY_SECRETS the session''s token was derived under.';
COMMENT ON COLUMN idempotency_keys.created_at IS 'The session''s, too.';
COMMENT ON COLUMN idempotency_keys.expires_at IS 'When the key is free again.';

-- For erasures; and in the order of time, for what is deleted by age.
CREATE INDEX idempotency_keys_session ON idempotency_keys (session_id);

-- What support asks about a session and its own row does not tell. Append-only, without personal data. No foreign key:
-- its trigger would run a query for every event and every session that is deleted.
CREATE TABLE link_session_events (
    session_id        uuid NOT NULL,
    shard             smallint NOT NULL,
    manufacturer_id   bigint NOT NULL,
    event             text NOT NULL,
    reason            text,
    detail            text,
    supplier          text,
    request_id        text NOT NULL,
    authenticator_key text,
    occurred_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    position          bigint,
    -- A statement that is sent again after a broken connection records nothing twice.
    CONSTRAINT link_session_events_pkey PRIMARY KEY (session_id, shard, event, request_id),
    CONSTRAINT link_session_events_event_valid CHECK (event IN (
        'opened', 'expired', 'expired_early', 'sign_in_started', 'sign_in_refused', 'signed_in', 'completed', 'completion_refused',
        'confirmed', 'confirmation_refused')),
    CONSTRAINT link_session_events_refusal_has_reason CHECK ((event LIKE '%refused') = (reason IS NOT NULL)),
    -- Reasons are the service's to name: docs/administer.md.
    CONSTRAINT link_session_events_reason_valid CHECK (reason ~ '^[a-z_]{1,40}$'),
    CONSTRAINT link_session_events_detail_valid CHECK (char_length(detail) BETWEEN 1 AND 300 AND detail !~ '[[:cntrl:]]'),
    CONSTRAINT link_session_events_request_id_valid CHECK (request_id ~ '^[A-Za-z0-9._:=/+-]{1,128}$'),
    CONSTRAINT link_session_events_authenticator_key_valid CHECK (authenticator_key ~ '^[a-z0-9-]{1,40}$')
) PARTITION BY RANGE (session_id);

COMMENT ON COLUMN link_session_events.detail IS 'What the other side said, as the log''s cause has it.';
COMMENT ON COLUMN link_session_events.supplier IS
    'The slug of the supplier at which the user began, or was to begin, to sign in; NULL: none was known.';
COMMENT ON COLUMN link_session_events.authenticator_key IS
    'The name of the Authenticator''s key that it was done with; NULL where it was done with none.';
COMMENT ON COLUMN link_session_events.event IS
    'expired: by time. expired_early: by the manufacturer. …_refused: see reason.';
COMMENT ON COLUMN link_session_events.position IS
    'Where the event stands in the feed of its manufacturer; 0: nowhere yet; NULL: it is for support alone.';

-- A session ends once: a completion that was judged in time and comes after the session's end fails.
CREATE UNIQUE INDEX link_session_events_end ON link_session_events (session_id, shard)
    WHERE event IN ('completed', 'expired', 'expired_early');
CREATE INDEX link_session_events_feed ON link_session_events (manufacturer_id, position) WHERE position > 0;
CREATE INDEX link_session_events_waiting ON link_session_events (session_id) WHERE position = 0;

-- A browser's attempt to sign in at a supplier.
CREATE TABLE sign_ins (
    session_id       uuid NOT NULL,
    shard            smallint NOT NULL,
    state_hash       bytea NOT NULL,
    supplier         text NOT NULL,
    language         text NOT NULL,
    started_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    answered_at      timestamptz,
    answered_by      text,
    outcome          text,
    supplier_user_id text,
    account          text,
    CONSTRAINT sign_ins_pkey PRIMARY KEY (session_id, shard, state_hash),
    CONSTRAINT sign_ins_state_hash_is_sha256 CHECK (octet_length(state_hash) = 32),
    CONSTRAINT sign_ins_language_known CHECK (language IN ('nl', 'en', 'fr', 'es')),
    CONSTRAINT sign_ins_outcome_known CHECK (outcome IN ('signed_in', 'declined', 'failed')),
    CONSTRAINT sign_ins_outcome_after_answer CHECK (outcome IS NULL OR answered_at IS NOT NULL),
    CONSTRAINT sign_ins_user_of_success CHECK ((outcome = 'signed_in') IS TRUE = (supplier_user_id IS NOT NULL) AND (outcome = 'signed_in') IS TRUE = (account IS NOT NULL)),
    CONSTRAINT sign_ins_user_id_length CHECK (char_length(supplier_user_id) BETWEEN 1 AND 255),
    CONSTRAINT sign_ins_account_length CHECK (char_length(account) BETWEEN 1 AND 255)
) PARTITION BY RANGE (session_id);

COMMENT ON COLUMN sign_ins.state_hash IS
    'SHA-256 of the state (RFC 6749, section 4.1.1), which is made from the secret in the browser''s cookie. Public: it names the sign-in.';
COMMENT ON COLUMN sign_ins.answered_at IS 'When the supplier''s answer came; it counts once.';
COMMENT ON COLUMN sign_ins.answered_by IS 'Which request took the answer, so that it may take it again after a lost reply.';
COMMENT ON COLUMN sign_ins.account IS 'The account as the user is shown it, masked.';

-- The user of a manufacturer as NOX knows it: one id for all of the user's sessions.
CREATE TABLE nox_users (
    manufacturer_id bigint NOT NULL,
    user_id         text NOT NULL,
    id              uuid NOT NULL DEFAULT gen_random_uuid(),
    created_at      timestamptz NOT NULL DEFAULT date_trunc('second', clock_timestamp()),
    last_linked_on  date NOT NULL DEFAULT current_date,
    CONSTRAINT nox_users_pkey PRIMARY KEY (manufacturer_id, user_id),
    CONSTRAINT nox_users_user_id_length CHECK (char_length(user_id) BETWEEN 1 AND 256)
);

COMMENT ON COLUMN nox_users.last_linked_on IS 'The day of the user''s latest completion: the row ends 400 days later.';
