-- Who may do what. The roles belong to the cluster: `link-session-service admin create-roles` makes them, once.

SELECT ensure(
    count(*) = 2, 'the roles of the service are missing: run link-session-service admin create-roles, then migrate again')
FROM pg_roles WHERE rolname IN ('link_session_service', 'link_session_operator');

REVOKE EXECUTE ON FUNCTION purge_link_sessions, erase_user, raise_authentication_version, refuse_change FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure TO link_session_service, link_session_operator;

DO $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO link_session_service, link_session_operator', current_schema());
    -- Before PostgreSQL 15 everybody may create tables in `public`.
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', current_schema());
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    -- `migrate` runs a deployment's migrations in a temporary function.
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO link_session_operator', current_database());
END
$$;

-- Whoever may create a function here could have one of ours call it, with our rights.
SELECT ensure(
    NOT has_schema_privilege('link_session_service', current_schema(), 'CREATE')
    AND NOT has_schema_privilege('link_session_operator', current_schema(), 'CREATE'),
    'everybody may create objects in this schema: as its owner, REVOKE CREATE ON SCHEMA ... FROM PUBLIC, then migrate again');

-- link_session_service: what `serve` and `purge` need.
GRANT SELECT ON schema_migrations, authentication_version, manufacturers TO link_session_service;
GRANT SELECT (id, manufacturer_id, key_hash, expires_at, revoked_at, last_used_at), UPDATE (last_used_at)
    ON api_keys TO link_session_service;
GRANT SELECT,
    INSERT (token_hash, manufacturer_id, user_id, redirect_url, language, created_at, expires_at),
    UPDATE (expires_at, completed_at)
    ON link_sessions TO link_session_service;
GRANT SELECT, INSERT (token_hash, event, reason, request_id) ON link_session_events TO link_session_service;
GRANT EXECUTE ON FUNCTION purge_link_sessions TO link_session_service;

-- link_session_operator: what a deployment's own migrations and the reports of `admin` need.
GRANT SELECT, INSERT, UPDATE, DELETE ON manufacturers, api_keys TO link_session_operator;
GRANT SELECT ON schema_migrations, link_sessions, link_session_events TO link_session_operator;
GRANT EXECUTE ON FUNCTION erase_user TO link_session_operator;
