-- Who may do what. The roles belong to the cluster: `link-session-service admin create-roles` makes them, once.

SELECT ensure(
    count(*) = 2, 'the roles of the service are missing: run link-session-service admin create-roles, then migrate again')
FROM pg_roles WHERE rolname IN ('link_session_service', 'link_session_operator');

REVOKE EXECUTE ON FUNCTION purge_link_sessions, erase_user FROM PUBLIC;

DO $$
BEGIN
    EXECUTE format(
        'GRANT USAGE ON SCHEMA %I TO link_session_service, link_session_operator', current_schema());
    -- Before PostgreSQL 15 everybody may create tables in `public`.
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', current_schema());
END
$$;

-- link_session_service: what `serve` and `purge` need.
GRANT SELECT ON schema_migrations, authentication_version, manufacturers TO link_session_service;
GRANT SELECT (id, manufacturer_id, key_hash, expires_at, revoked_at, last_used_at), UPDATE (last_used_at)
    ON api_keys TO link_session_service;
GRANT SELECT, INSERT, UPDATE (expires_at, completed_at) ON link_sessions TO link_session_service;
GRANT SELECT, INSERT ON link_session_events TO link_session_service;
GRANT EXECUTE ON FUNCTION purge_link_sessions TO link_session_service;

-- link_session_operator: what a deployment's own migrations and the reports of `admin` need.
GRANT SELECT, INSERT, UPDATE, DELETE ON manufacturers, api_keys TO link_session_operator;
GRANT SELECT ON schema_migrations, link_sessions, link_session_events TO link_session_operator;
GRANT EXECUTE ON FUNCTION erase_user TO link_session_operator;
