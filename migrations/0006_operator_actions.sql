-- What operators do, and whose data they read: append-only, and without a user's id or a key in it.

CREATE TABLE operator_actions (
    id          bigint GENERATED ALWAYS AS IDENTITY,
    occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    login       text NOT NULL DEFAULT session_user,
    os_user     text DEFAULT nullif(left(current_setting('operator.os_user', true), 64), ''),
    program     text NOT NULL DEFAULT current_setting('application_name'),
    action      text NOT NULL,
    subject     text,
    CONSTRAINT operator_actions_pkey PRIMARY KEY (occurred_at, id)
);

COMMENT ON COLUMN operator_actions.login IS 'Whom PostgreSQL let in.';
COMMENT ON COLUMN operator_actions.os_user IS 'Who ran the program on its machine, as the program says; NULL where it does not.';
COMMENT ON COLUMN operator_actions.subject IS 'The name of the manufacturer, supplier, key or migration.';

SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE FUNCTION record_operator_action(done text, manufacturer bigint, supplier text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO operator_actions (action, subject) VALUES (
        left(done, 64), coalesce(left(supplier, 64), (SELECT m.name FROM manufacturers m WHERE m.id = manufacturer)));
END
$$;

COMMENT ON FUNCTION record_operator_action IS 'For what changes no row that has a trigger, such as reading a user''s sessions.';

CREATE FUNCTION record_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    -- The row as it is, or was. NULL where all rows are gone.
    changed jsonb := coalesce(to_jsonb(NEW), to_jsonb(OLD));
    names text[] := CASE TG_TABLE_NAME
        WHEN 'manufacturers' THEN ARRAY[changed ->> 'name']
        WHEN 'suppliers' THEN ARRAY[changed ->> 'slug']
        -- Of a key the beginning of its digest, as `admin list` shows it.
        WHEN 'api_keys' THEN ARRAY[
            (SELECT m.name FROM manufacturers m WHERE m.id = (changed ->> 'manufacturer_id')::bigint),
            substr(changed ->> 'key_hash', 3, 12)]
        WHEN 'webhook_endpoints' THEN ARRAY[
            (SELECT m.name FROM manufacturers m WHERE m.id = (changed ->> 'manufacturer_id')::bigint), changed ->> 'id']
        WHEN 'webhook_resends' THEN ARRAY[changed ->> 'endpoint_id']
        WHEN 'deployment_migrations' THEN ARRAY[changed ->> 'history', changed ->> 'name']
    END;
BEGIN
    INSERT INTO operator_actions (action, subject) VALUES (
        CASE TG_TABLE_NAME WHEN 'deployment_migrations' THEN 'migrate' ELSE lower(TG_OP) || ' ' || TG_TABLE_NAME END,
        nullif(array_to_string(names, '/'), ''));
    RETURN NULL;
END
$$;

CREATE TRIGGER manufacturers_record_change
    AFTER INSERT OR UPDATE OR DELETE ON manufacturers FOR EACH ROW EXECUTE FUNCTION record_change();
CREATE TRIGGER suppliers_record_change
    AFTER INSERT OR UPDATE OR DELETE ON suppliers FOR EACH ROW EXECUTE FUNCTION record_change();
-- last_used_at is left out: the service writes it.
CREATE TRIGGER api_keys_record_change
    AFTER INSERT OR DELETE OR UPDATE OF manufacturer_id, key_hash, label, created_at, expires_at, revoked_at ON api_keys
    FOR EACH ROW EXECUTE FUNCTION record_change();
CREATE TRIGGER deployment_migrations_record_change
    AFTER INSERT OR UPDATE OR DELETE ON deployment_migrations FOR EACH ROW EXECUTE FUNCTION record_change();
CREATE TRIGGER manufacturers_record_truncate
    AFTER TRUNCATE ON manufacturers FOR EACH STATEMENT EXECUTE FUNCTION record_change();
CREATE TRIGGER suppliers_record_truncate
    AFTER TRUNCATE ON suppliers FOR EACH STATEMENT EXECUTE FUNCTION record_change();
CREATE TRIGGER api_keys_record_truncate
    AFTER TRUNCATE ON api_keys FOR EACH STATEMENT EXECUTE FUNCTION record_change();
