-- What becomes of a link session at a supplier: the browser's sign-ins, and the link that a completed session made.

ALTER TABLE link_sessions
    ADD COLUMN sign_ins smallint NOT NULL DEFAULT 0,
    ADD COLUMN supplier text,
    ADD COLUMN supplier_user_id text,
    ADD COLUMN nox_user_id uuid,
    ADD COLUMN completed_by bytea,
    ADD COLUMN confirmed_at timestamptz,
    -- One constraint for all of them: each is paid for by every create. Existing rows have NULLs.
    ADD CONSTRAINT link_sessions_link_of_completed CHECK (
        completed_at IS NOT NULL AND (supplier IS NULL) = (supplier_user_id IS NULL) AND confirmed_at >= completed_at IS NOT FALSE
        OR num_nonnulls(supplier, supplier_user_id, nox_user_id, completed_by, confirmed_at) = 0) NOT VALID;

COMMENT ON COLUMN link_sessions.sign_ins IS 'How many sign-ins were started.';
COMMENT ON COLUMN link_sessions.completed_by IS 'The sign-in that completed the session; NULL where the Authenticator API did.';
COMMENT ON COLUMN link_sessions.confirmed_at IS 'When the manufacturer''s backend said whose session it was.';

-- The user of a manufacturer as NOX knows it: one id for all of the user's sessions.
CREATE TABLE nox_users (
    id              uuid NOT NULL DEFAULT gen_random_uuid(),
    manufacturer_id bigint NOT NULL,
    user_id         text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT date_trunc('second', clock_timestamp()),
    CONSTRAINT nox_users_pkey PRIMARY KEY (id),
    CONSTRAINT nox_users_manufacturer_fkey FOREIGN KEY (manufacturer_id) REFERENCES manufacturers (id),
    CONSTRAINT nox_users_user_unique UNIQUE (manufacturer_id, user_id),
    CONSTRAINT nox_users_user_id_length CHECK (char_length(user_id) BETWEEN 1 AND 256)
);

-- A browser's attempt to sign in at a supplier. No foreign key to the session, for the reason that its events have none.
CREATE TABLE sign_ins (
    state_hash       bytea NOT NULL,
    token_hash       bytea NOT NULL,
    supplier         text NOT NULL,
    browser_hash     bytea NOT NULL,
    language         text NOT NULL,
    started_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    answered_at      timestamptz,
    outcome          text,
    supplier_user_id text,
    account          text,
    CONSTRAINT sign_ins_pkey PRIMARY KEY (state_hash),
    CONSTRAINT sign_ins_hashes_are_sha256 CHECK (octet_length(state_hash) = 32 AND octet_length(token_hash) = 32 AND octet_length(browser_hash) = 32),
    CONSTRAINT sign_ins_language_known CHECK (language IN ('nl', 'en', 'fr', 'es')),
    CONSTRAINT sign_ins_outcome_known CHECK (outcome IN ('signed_in', 'declined', 'failed')),
    CONSTRAINT sign_ins_outcome_after_answer CHECK (outcome IS NULL OR answered_at IS NOT NULL),
    CONSTRAINT sign_ins_user_of_success CHECK ((outcome = 'signed_in') IS TRUE = (supplier_user_id IS NOT NULL) AND (outcome = 'signed_in') IS TRUE = (account IS NOT NULL)),
    CONSTRAINT sign_ins_user_id_length CHECK (char_length(supplier_user_id) BETWEEN 1 AND 255),
    CONSTRAINT sign_ins_account_length CHECK (char_length(account) BETWEEN 1 AND 255)
);

COMMENT ON COLUMN sign_ins.state_hash IS 'SHA-256 of the state (RFC 6749, section 4.1.1); public: it names the sign-in.';
COMMENT ON COLUMN sign_ins.browser_hash IS 'SHA-256 of the secret in the cookie of the browser that began.';
COMMENT ON COLUMN sign_ins.answered_at IS 'When the supplier''s answer came; it counts once.';
COMMENT ON COLUMN sign_ins.account IS 'The account as the user is shown it, masked.';

CREATE INDEX sign_ins_token_hash ON sign_ins (token_hash);

-- Reasons are the service's to name; they are in the README.
ALTER TABLE link_session_events
    DROP CONSTRAINT link_session_events_event_known,
    DROP CONSTRAINT link_session_events_reason_of_refusal,
    DROP CONSTRAINT link_session_events_reason_known,
    ADD CONSTRAINT link_session_events_event_valid CHECK (event IN (
        'looked_up', 'expired_early', 'sign_in_started', 'sign_in_refused', 'signed_in', 'completed', 'completion_refused',
        'confirmed', 'confirmation_refused')) NOT VALID,
    ADD CONSTRAINT link_session_events_refusal_has_reason CHECK ((event LIKE '%refused') = (reason IS NOT NULL)) NOT VALID,
    ADD CONSTRAINT link_session_events_reason_valid CHECK (reason ~ '^[a-z_]{1,40}$') NOT VALID;

COMMENT ON COLUMN link_session_events.event IS
    'looked_up: the Authenticator''s first look. expired_early: by the manufacturer. …_refused: see reason.';

-- What is deleted with a session: its sign-ins too. The search path is the schema of the tables and nothing that a caller
-- could put before it.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE OR REPLACE FUNCTION purge_link_sessions(
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
    DELETE FROM sign_ins USING unnest(hashes) AS hash WHERE token_hash = hash;
    IF last_block * pg_catalog.current_setting('block_size')::bigint
        < pg_catalog.pg_relation_size('link_sessions'::regclass)
    THEN
        next_block := last_block;
    END IF;
    RETURN NEXT;
END
$$;

CREATE OR REPLACE FUNCTION erase_user(
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
    DELETE FROM sign_ins USING unnest(hashes) AS hash WHERE token_hash = hash;
    -- After the sessions: a completion that was under way has made its row by now.
    DELETE FROM nox_users WHERE manufacturer_id = manufacturer_number AND user_id = erased_user_id;
    erased_at := date_trunc('second', clock_timestamp());
END
$$;

GRANT UPDATE (sign_ins, supplier, supplier_user_id, nox_user_id, completed_by, confirmed_at) ON link_sessions TO link_session_service;
-- UPDATE (user_id): to itself alone, so that a user that exists is returned as a new one is.
GRANT SELECT, INSERT (manufacturer_id, user_id), UPDATE (user_id) ON nox_users TO link_session_service;
GRANT SELECT,
    INSERT (state_hash, token_hash, supplier, browser_hash, language),
    UPDATE (answered_at, outcome, supplier_user_id, account)
    ON sign_ins TO link_session_service;
GRANT SELECT ON nox_users, sign_ins TO link_session_operator;
