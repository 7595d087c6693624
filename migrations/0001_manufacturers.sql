-- Manufacturers and their API keys: what operators decide, and what every replica holds a copy of.

-- A change that changes nothing is a mistake: with this it fails and says why.
CREATE FUNCTION ensure(condition boolean, otherwise text) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    IF condition IS NOT TRUE THEN
        RAISE EXCEPTION '%', otherwise;
    END IF;
END
$$;

COMMENT ON FUNCTION ensure IS 'Fails with a sentence unless the condition is true; so does the migration that calls it.';

SELECT ensure(
    pg_encoding_to_char(encoding) = 'UTF8',
    format('the database has the encoding %s and cannot hold what the service stores: CREATE DATABASE ... ENCODING ''UTF8'' TEMPLATE template0',
        pg_encoding_to_char(encoding)))
FROM pg_database WHERE datname = current_database();

-- Images beside the names of suppliers and manufacturers. Every replica's copy holds digests, and asks for what it shows.
CREATE TABLE logos (
    digest     bytea NOT NULL,
    media_type text NOT NULL,
    bytes      bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT date_trunc('second', now()),
    CONSTRAINT logos_pkey PRIMARY KEY (digest),
    CONSTRAINT logos_digest_is_sha256 CHECK (digest = sha256(bytes)),
    CONSTRAINT logos_media_type_known CHECK (media_type IN ('image/png', 'image/svg+xml')),
    CONSTRAINT logos_bytes_size CHECK (octet_length(bytes) BETWEEN 1 AND 32768)
);

CREATE TABLE manufacturers (
    id              bigint GENERATED ALWAYS AS IDENTITY,
    name            text NOT NULL,
    brand           text,
    enabled         boolean NOT NULL DEFAULT true,
    redirect_policy text NOT NULL DEFAULT 'registered',
    redirect_urls   text[] NOT NULL DEFAULT '{}',
    creates_a_second integer,
    creates_at_once  integer,
    logo            bytea,
    created_at      timestamptz NOT NULL DEFAULT date_trunc('second', now()),
    CONSTRAINT manufacturers_pkey PRIMARY KEY (id),
    CONSTRAINT manufacturers_name_unique UNIQUE (name),
    CONSTRAINT manufacturers_logo_fkey FOREIGN KEY (logo) REFERENCES logos (digest),
    CONSTRAINT manufacturers_name_valid CHECK (char_length(name) BETWEEN 1 AND 200 AND name ~ '\S' AND name !~ '[[:cntrl:]]'),
    CONSTRAINT manufacturers_brand_valid CHECK (char_length(brand) BETWEEN 1 AND 200 AND brand ~ '[^\s_-]' AND brand !~ '[[:cntrl:]]'),
    -- Names and labels are read by people: text that is shown in another order than it is stored deceives them.
    CONSTRAINT manufacturers_name_no_bidi CHECK (name !~ '[\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069]'),
    CONSTRAINT manufacturers_brand_no_bidi CHECK (brand !~ '[\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069]'),
    CONSTRAINT manufacturers_redirect_policy_known CHECK (redirect_policy IN ('registered', 'unrestricted')),
    CONSTRAINT manufacturers_redirect_urls_not_null CHECK (array_position(redirect_urls, NULL) IS NULL),
    CONSTRAINT manufacturers_rate_limit_valid CHECK (
        num_nonnulls(creates_a_second, creates_at_once) = 0
        OR (creates_a_second >= 1 AND creates_at_once BETWEEN creates_a_second AND 1000000) IS TRUE)
);

COMMENT ON COLUMN manufacturers.brand IS 'As the manufacturer writes it; answers carry it title-cased. NULL: answers carry no brand.';
COMMENT ON COLUMN manufacturers.redirect_policy IS
    'registered: only redirect_urls, none where the list is empty. unrestricted: any well-formed URL.';

COMMENT ON COLUMN manufacturers.creates_a_second IS 'Its own rate limit; NULL: that of RATE_LIMIT_CREATES.';

-- What replicas tell each other every second, so that a rate limit holds over all of them. Of no use a minute later, and
-- so not worth a log.
CREATE UNLOGGED TABLE rate_demands (
    replica         uuid NOT NULL,
    manufacturer_id bigint NOT NULL,
    creates         bigint NOT NULL,
    requests        bigint NOT NULL,
    reported_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT rate_demands_pkey PRIMARY KEY (replica, manufacturer_id)
);

COMMENT ON COLUMN rate_demands.creates IS 'Asked for in a thousand seconds.';

-- The key itself is never stored, only its SHA-256.
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
    CONSTRAINT api_keys_label_no_bidi CHECK (label !~ '[\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069]'),
    CONSTRAINT api_keys_expires_after_creation CHECK (expires_at > created_at),
    -- NULL is how a key has no end; a time that no program can read would lock everybody out.
    CONSTRAINT api_keys_expires_before_year_10000 CHECK (expires_at < '10000-01-01Z'),
    CONSTRAINT api_keys_last_used_before_year_10000 CHECK (last_used_at < '10000-01-01Z')
);

CREATE INDEX api_keys_manufacturer ON api_keys (manufacturer_id);

-- Every replica reads this one row a few times a second: when the number changed, it loads its copy anew. Statement
-- triggers raise it in the transaction that makes the change, so that it becomes visible with the change and never
-- without it.
CREATE TABLE control_plane_version (
    only_row boolean NOT NULL DEFAULT true,
    version  bigint NOT NULL,
    CONSTRAINT control_plane_version_pkey PRIMARY KEY (only_row),
    CONSTRAINT control_plane_version_one_row CHECK (only_row)
);

INSERT INTO control_plane_version (version) VALUES (1);

-- Functions that run with their owner's rights search the schema of the tables, and nothing that a caller could put
-- before it.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE FUNCTION raise_control_plane_version() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE control_plane_version SET version = version + 1;
    RETURN NULL;
END
$$;

CREATE TRIGGER manufacturers_raise_version
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON manufacturers
    FOR EACH STATEMENT EXECUTE FUNCTION raise_control_plane_version();
-- last_used_at is left out: it changes often and decides nothing.
CREATE TRIGGER api_keys_raise_version
    AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF manufacturer_id, key_hash, label, created_at, expires_at, revoked_at
    ON api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION raise_control_plane_version();
