-- What the migrations that `link-session-service admin` writes stand on.

-- Names and labels are read by people: text that is shown in another order than it is stored deceives them.
-- Where this fails, rename the rows that have such characters, and migrate again.
ALTER TABLE manufacturers
    ADD CONSTRAINT manufacturers_name_no_bidi CHECK (name !~ '[\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069]'),
    ADD CONSTRAINT manufacturers_brand_no_bidi CHECK (brand !~ '[\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069]');

ALTER TABLE api_keys
    ADD CONSTRAINT api_keys_label_no_bidi CHECK (label !~ '[\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069]'),
    ADD CONSTRAINT api_keys_last_used_before_year_10000 CHECK (last_used_at < '10000-01-01Z');

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

-- Whoever may change a manufacturer or a key raises the version with it, without rights on the version itself.
-- The search path is the schema of the tables and nothing that a caller could put before it.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

ALTER FUNCTION raise_authentication_version() SECURITY DEFINER;
ALTER FUNCTION raise_authentication_version() SET search_path FROM CURRENT;
