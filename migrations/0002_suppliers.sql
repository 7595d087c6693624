-- Energy suppliers at which users sign in, each an OpenID Connect provider.

CREATE TABLE suppliers (
    slug               text NOT NULL,
    name               text NOT NULL,
    issuer             text NOT NULL,
    client_id          text NOT NULL,
    client_secret_name text NOT NULL,
    scopes             text[] NOT NULL DEFAULT '{openid}',
    enabled            boolean NOT NULL DEFAULT true,
    created_at         timestamptz NOT NULL DEFAULT date_trunc('second', now()),
    CONSTRAINT suppliers_pkey PRIMARY KEY (slug),
    -- `sandbox` is the service's own, for integrators.
    CONSTRAINT suppliers_slug_valid CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND char_length(slug) <= 40 AND slug <> 'sandbox'),
    CONSTRAINT suppliers_name_unique UNIQUE (name),
    CONSTRAINT suppliers_name_valid CHECK (char_length(name) BETWEEN 1 AND 200 AND name ~ '\S' AND name !~ '[[:cntrl:]]'),
    CONSTRAINT suppliers_name_no_bidi CHECK (name !~ '[\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069]'),
    CONSTRAINT suppliers_issuer_valid CHECK (issuer ~ '^https?://[^/?#[:space:]]+[^?#[:space:]]*$' AND octet_length(issuer) <= 2048),
    CONSTRAINT suppliers_client_id_valid CHECK (client_id ~ '^[\x21-\x7E]{1,255}$'),
    -- Only what is meant for a supplier may be sent to one.
    CONSTRAINT suppliers_client_secret_name_valid CHECK (client_secret_name ~ '^SUPPLIER_[A-Z0-9_]{1,100}$'),
    CONSTRAINT suppliers_scopes_have_openid CHECK ('openid' = ANY (scopes) AND array_position(scopes, NULL) IS NULL)
);

COMMENT ON COLUMN suppliers.slug IS 'What answers and return links call the supplier. Never changed, never used again.';
COMMENT ON COLUMN suppliers.issuer IS 'OpenID Connect Discovery 1.0, section 4: byte for byte as the provider writes it.';
COMMENT ON COLUMN suppliers.client_secret_name IS
    'The setting (environment variable) that holds the client secret; the secret itself is in no database.';

CREATE TRIGGER suppliers_raise_version
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON suppliers
    FOR EACH STATEMENT EXECUTE FUNCTION raise_control_plane_version();
