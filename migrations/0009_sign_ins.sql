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
        num_nonnulls(supplier, supplier_user_id, nox_user_id, completed_by, confirmed_at) = 0
        OR completed_at IS NOT NULL AND nox_user_id IS NOT NULL AND (supplier IS NULL) = (supplier_user_id IS NULL)
        AND (char_length(supplier_user_id) BETWEEN 1 AND 255) IS NOT FALSE
        AND (octet_length(completed_by) = 32) IS NOT FALSE AND (confirmed_at >= completed_at) IS NOT FALSE) NOT VALID;

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
    language         text NOT NULL,
    started_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    answered_at      timestamptz,
    answered_by      text,
    outcome          text,
    supplier_user_id text,
    account          text,
    CONSTRAINT sign_ins_pkey PRIMARY KEY (state_hash),
    CONSTRAINT sign_ins_hashes_are_sha256 CHECK (octet_length(state_hash) = 32 AND octet_length(token_hash) = 32),
    CONSTRAINT sign_ins_language_known CHECK (language IN ('nl', 'en', 'fr', 'es')),
    CONSTRAINT sign_ins_outcome_known CHECK (outcome IN ('signed_in', 'declined', 'failed')),
    CONSTRAINT sign_ins_outcome_after_answer CHECK (outcome IS NULL OR answered_at IS NOT NULL),
    CONSTRAINT sign_ins_user_of_success CHECK ((outcome = 'signed_in') IS TRUE = (supplier_user_id IS NOT NULL) AND (outcome = 'signed_in') IS TRUE = (account IS NOT NULL)),
    CONSTRAINT sign_ins_user_id_length CHECK (char_length(supplier_user_id) BETWEEN 1 AND 255),
    CONSTRAINT sign_ins_account_length CHECK (char_length(account) BETWEEN 1 AND 255)
);

COMMENT ON COLUMN sign_ins.state_hash IS
    'SHA-256 of the state (RFC 6749, section 4.1.1), which is made from the secret in the browser''s cookie. Public: it names the sign-in.';
COMMENT ON COLUMN sign_ins.answered_at IS 'When the supplier''s answer came; it counts once.';
COMMENT ON COLUMN sign_ins.answered_by IS 'Which request took the answer, so that it may take it again after a lost reply.';
COMMENT ON COLUMN sign_ins.account IS 'The account as the user is shown it, masked.';

CREATE INDEX sign_ins_token_hash ON sign_ins (token_hash);

-- What decided whose account is whose stays as it was decided, whoever asks.
CREATE FUNCTION refuse_rewrite() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what is decided in % cannot be changed', TG_TABLE_NAME;
END
$$;

REVOKE EXECUTE ON FUNCTION refuse_rewrite FROM PUBLIC;

CREATE TRIGGER link_sessions_keep_link BEFORE UPDATE OF nox_user_id, supplier, supplier_user_id, completed_by ON link_sessions
    FOR EACH ROW WHEN (OLD.completed_at IS NOT NULL) EXECUTE FUNCTION refuse_rewrite();
CREATE TRIGGER nox_users_keep_user BEFORE UPDATE ON nox_users
    FOR EACH ROW WHEN ((OLD.id, OLD.manufacturer_id, OLD.user_id) IS DISTINCT FROM (NEW.id, NEW.manufacturer_id, NEW.user_id))
    EXECUTE FUNCTION refuse_rewrite();
CREATE TRIGGER sign_ins_keep_outcome BEFORE UPDATE ON sign_ins
    FOR EACH ROW WHEN (OLD.outcome IS NOT NULL) EXECUTE FUNCTION refuse_rewrite();

-- What is deleted, and when: sign-ins too. The search path is the schema of the tables and nothing that a caller
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
    IF first_block = 0 THEN
        -- By then their sessions have no pages any more. They know accounts of people who linked nothing.
        DELETE FROM sign_ins WHERE started_at < pg_catalog.statement_timestamp() - interval '2 hours';
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
    -- A session that was made meanwhile keeps its user.
    DELETE FROM nox_users u
    WHERE u.manufacturer_id = manufacturer_number AND u.user_id = erased_user_id
      AND NOT EXISTS (
          SELECT FROM link_sessions s WHERE s.manufacturer_id = u.manufacturer_id AND s.user_id = u.user_id);
    erased_at := date_trunc('second', clock_timestamp());
END
$$;

GRANT UPDATE (sign_ins, supplier, supplier_user_id, nox_user_id, completed_by, confirmed_at) ON link_sessions TO link_session_service;
-- UPDATE (user_id): to itself alone, so that a user that exists is returned as a new one is.
GRANT SELECT, INSERT (manufacturer_id, user_id), UPDATE (user_id) ON nox_users TO link_session_service;
GRANT SELECT,
    INSERT (state_hash, token_hash, supplier, language),
    UPDATE (answered_at, answered_by, outcome, supplier_user_id, account)
    ON sign_ins TO link_session_service;
GRANT SELECT ON nox_users, sign_ins TO link_session_operator;
