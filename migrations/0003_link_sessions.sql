-- Link sessions. The link token itself is never stored, only the SHA-256 of its characters.

CREATE TABLE link_sessions (
    token_hash      bytea NOT NULL,
    manufacturer_id bigint NOT NULL,
    user_id         text NOT NULL,
    redirect_url    text NOT NULL,
    language        text NOT NULL,
    created_at      timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    completed_at    timestamptz,
    CONSTRAINT link_sessions_pkey PRIMARY KEY (token_hash),
    CONSTRAINT link_sessions_manufacturer_fkey FOREIGN KEY (manufacturer_id) REFERENCES manufacturers (id),
    CONSTRAINT link_sessions_token_hash_is_sha256 CHECK (octet_length(token_hash) = 32),
    CONSTRAINT link_sessions_user_id_length CHECK (char_length(user_id) BETWEEN 1 AND 256),
    CONSTRAINT link_sessions_redirect_url_length CHECK (octet_length(redirect_url) BETWEEN 1 AND 2048),
    CONSTRAINT link_sessions_language_known CHECK (language IN ('nl', 'en', 'fr', 'es')),
    -- Equal where a session was expired in the second in which it was made.
    CONSTRAINT link_sessions_expires_after_creation CHECK (expires_at >= created_at),
    CONSTRAINT link_sessions_completed_while_open CHECK (completed_at BETWEEN created_at AND expires_at)
);

COMMENT ON COLUMN link_sessions.user_id IS 'The manufacturer''s own id of its user, byte for byte as it was sent.';

-- For the deletion of old rows. A block range index costs an insert next to nothing.
CREATE INDEX link_sessions_created_at ON link_sessions USING brin (created_at);
