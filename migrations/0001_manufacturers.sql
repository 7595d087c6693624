-- Manufacturers, and what an operator decides about each of them.

CREATE TABLE manufacturers (
    id              bigint GENERATED ALWAYS AS IDENTITY,
    name            text NOT NULL,
    brand           text,
    enabled         boolean NOT NULL DEFAULT true,
    redirect_policy text NOT NULL DEFAULT 'registered',
    redirect_urls   text[] NOT NULL DEFAULT '{}',
    created_at      timestamptz NOT NULL DEFAULT date_trunc('second', now()),
    CONSTRAINT manufacturers_pkey PRIMARY KEY (id),
    CONSTRAINT manufacturers_name_unique UNIQUE (name),
    CONSTRAINT manufacturers_name_valid CHECK (char_length(name) BETWEEN 1 AND 200 AND name ~ '\S' AND name !~ '[[:cntrl:]]'),
    CONSTRAINT manufacturers_brand_valid CHECK (char_length(brand) BETWEEN 1 AND 200 AND brand ~ '[^\s_-]' AND brand !~ '[[:cntrl:]]'),
    CONSTRAINT manufacturers_redirect_policy_known CHECK (redirect_policy IN ('registered', 'unrestricted')),
    CONSTRAINT manufacturers_redirect_urls_not_null CHECK (array_position(redirect_urls, NULL) IS NULL)
);

COMMENT ON COLUMN manufacturers.brand IS 'As the manufacturer writes it; answers carry it title-cased. NULL: answers carry no brand.';
COMMENT ON COLUMN manufacturers.redirect_policy IS
    'registered: only redirect_urls, none where the list is empty. unrestricted: any well-formed URL.';

-- Every replica holds all usable keys in memory and reads this one row a few times a second:
-- when the number changed, it loads them anew. Statement triggers raise it in the transaction
-- that makes the change, so that it becomes visible with the change and never without it.
CREATE TABLE authentication_version (
    only_row boolean NOT NULL DEFAULT true,
    version  bigint NOT NULL,
    CONSTRAINT authentication_version_pkey PRIMARY KEY (only_row),
    CONSTRAINT authentication_version_one_row CHECK (only_row)
);

INSERT INTO authentication_version (version) VALUES (1);

CREATE FUNCTION raise_authentication_version() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    UPDATE authentication_version SET version = version + 1;
    RETURN NULL;
END
$$;

CREATE TRIGGER manufacturers_raise_authentication_version
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON manufacturers
    FOR EACH STATEMENT EXECUTE FUNCTION raise_authentication_version();
