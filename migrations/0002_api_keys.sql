-- API keys of manufacturers. The key itself is never stored, only its SHA-256.

CREATE TABLE api_keys (
    id              bigint GENERATED ALWAYS AS IDENTITY,
    manufacturer_id bigint NOT NULL,
    key_hash        bytea NOT NULL,
    label           text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT date_trunc('second', now()),
    expires_at      timestamptz,
    revoked_at      timestamptz,
    last_used_at    timestamptz,
    CONSTRAINT api_keys_pkey PRIMARY KEY (id),
    CONSTRAINT api_keys_manufacturer_fkey FOREIGN KEY (manufacturer_id) REFERENCES manufacturers (id),
    CONSTRAINT api_keys_key_hash_unique UNIQUE (key_hash),
    CONSTRAINT api_keys_key_hash_is_sha256 CHECK (octet_length(key_hash) = 32),
    CONSTRAINT api_keys_label_valid CHECK (char_length(label) BETWEEN 1 AND 200 AND label ~ '\S' AND label !~ '[[:cntrl:]]'),
    CONSTRAINT api_keys_expires_after_creation CHECK (expires_at > created_at),
    -- NULL is how a key has no end; a time that no program can read would lock everybody out.
    CONSTRAINT api_keys_expires_before_year_10000 CHECK (expires_at < '10000-01-01Z')
);

CREATE INDEX api_keys_manufacturer ON api_keys (manufacturer_id);

-- last_used_at is left out: it changes often and decides nothing.
CREATE TRIGGER api_keys_raise_authentication_version
    AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF manufacturer_id, key_hash, label, created_at, expires_at, revoked_at
    ON api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION raise_authentication_version();
