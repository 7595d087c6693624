-- Energy suppliers at which users sign in, each an OpenID Connect provider.

CREATE TABLE suppliers (
    slug                  text NOT NULL,
    name                  text NOT NULL,
    issuer                text NOT NULL,
    client_id             text NOT NULL,
    client_secret_name    text NOT NULL,
    scopes                text[] NOT NULL DEFAULT '{openid}',
    client_authentication text,
    discovery_url         text,
    response_mode         text,
    prompt                text,
    max_age               integer,
    logo                  bytea,
    enabled               boolean NOT NULL DEFAULT true,
    created_at            timestamptz NOT NULL DEFAULT date_trunc('second', now()),
    CONSTRAINT suppliers_pkey PRIMARY KEY (slug),
    -- `sandbox` is the service's own, for integrators.
    CONSTRAINT suppliers_slug_valid CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND char_length(slug) <= 40 AND slug <> 'sandbox'),
    CONSTRAINT suppliers_name_unique UNIQUE (name),
    CONSTRAINT suppliers_logo_fkey FOREIGN KEY (logo) REFERENCES logos (digest),
    CONSTRAINT suppliers_name_valid CHECK (char_length(name) BETWEEN 1 AND 200 AND name ~ '\S' AND name !~ '[[:cntrl:]]'),
    CONSTRAINT suppliers_name_no_bidi CHECK (name !~ '[\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069]'),
    CONSTRAINT suppliers_issuer_valid CHECK (issuer ~ '^https?://[^/?#[:space:]]+[^?#[:space:]]*$' AND octet_length(issuer) <= 2048),
    CONSTRAINT suppliers_client_id_valid CHECK (client_id ~ '^[\x21-\x7E]{1,255}$'),
    -- Only what is meant for a supplier may be sent to one.
    CONSTRAINT suppliers_client_secret_name_valid CHECK (client_secret_name ~ '^SUPPLIER_[A-Z0-9_]{1,100}$'),
    CONSTRAINT suppliers_scopes_have_openid CHECK ('openid' = ANY (scopes) AND array_position(scopes, NULL) IS NULL),
    CONSTRAINT suppliers_client_authentication_known CHECK (client_authentication IN ('client_secret_basic', 'client_secret_basic_unencoded', 'client_secret_post')),
    CONSTRAINT suppliers_discovery_url_valid CHECK (discovery_url ~ '^https?://[^/?#[:space:]]+[^#[:space:]]*$' AND octet_length(discovery_url) <= 2048),
    CONSTRAINT suppliers_response_mode_known CHECK (response_mode IN ('query', 'form_post')),
    CONSTRAINT suppliers_prompt_known CHECK (prompt IN ('login', 'select_account')),
    CONSTRAINT suppliers_max_age_valid CHECK (max_age BETWEEN 0 AND 31536000)
);

COMMENT ON COLUMN suppliers.slug IS 'What answers and return links call the supplier. Never changed, never used again.';
COMMENT ON COLUMN suppliers.issuer IS 'OpenID Connect Discovery 1.0, section 4: byte for byte as the provider writes it.';
COMMENT ON COLUMN suppliers.client_secret_name IS
    'The setting (environment variable) that holds the client secret; the secret itself is in no database.';
COMMENT ON COLUMN suppliers.client_authentication IS
    'How the client secret is sent; NULL: as the provider''s metadata have it.';
COMMENT ON COLUMN suppliers.discovery_url IS
    'Where the provider''s metadata are; NULL: below the issuer (OpenID Connect Discovery 1.0, section 4).';
COMMENT ON COLUMN suppliers.response_mode IS 'How the provider answers; NULL: as its metadata allow, best in the query.';
COMMENT ON COLUMN suppliers.prompt IS
    'What the first sign-in of a session asks for (OpenID Connect Core 1.0, section 3.1.2.1); NULL: nothing.';
COMMENT ON COLUMN suppliers.max_age IS 'How many seconds ago users may have signed in at the provider; NULL: any number.';

-- What came of sign-ins, minute by minute, over all replicas: which suppliers are failing, and what `admin list-suppliers`
-- tells of a day. No more than 1440 rows a supplier.
CREATE TABLE supplier_outcomes (
    supplier  text NOT NULL,
    minute    timestamptz NOT NULL,
    succeeded bigint NOT NULL,
    failed    bigint NOT NULL,
    declined  bigint NOT NULL,
    CONSTRAINT supplier_outcomes_pkey PRIMARY KEY (supplier, minute),
    CONSTRAINT supplier_outcomes_not_negative CHECK (least(succeeded, failed, declined) >= 0)
);

COMMENT ON COLUMN supplier_outcomes.failed IS 'By the supplier''s fault: at most one a session and replica.';
COMMENT ON COLUMN supplier_outcomes.declined IS 'By the user''s own wish.';

CREATE TRIGGER suppliers_raise_version
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON suppliers
    FOR EACH STATEMENT EXECUTE FUNCTION raise_control_plane_version();
