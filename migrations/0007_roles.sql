-- Who may do what. The roles belong to the cluster: `link-session-service admin create-roles` makes them, once.

SELECT ensure(
    count(*) = 2, 'the roles of the service are missing: run link-session-service admin create-roles, then migrate again')
FROM pg_roles WHERE rolname IN ('link_session_service', 'link_session_operator');

REVOKE EXECUTE ON FUNCTION maintain_partitions, add_partition, erase_user, erase_supplier_user, erase_rest,
    raise_control_plane_version, record_operator_action, record_change FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure, first_id_at, user_key, user_keys, session_ids, session_ids_of_user
    TO link_session_service, link_session_operator;

DO $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO link_session_service, link_session_operator', current_schema());
    -- Before PostgreSQL 15 everybody may create tables in `public`.
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', current_schema());
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
END
$$;

-- Whoever may create a function here could have one of ours call it, with our rights.
SELECT ensure(
    NOT has_schema_privilege('link_session_service', current_schema(), 'CREATE')
    AND NOT has_schema_privilege('link_session_operator', current_schema(), 'CREATE'),
    'everybody may create objects in this schema: as its owner, REVOKE CREATE ON SCHEMA ... FROM PUBLIC, then migrate again');

-- link_session_service: what `serve` and `purge` need. Events are append-only, and of a session nothing but its ends.
GRANT SELECT ON schema_migrations, control_plane_version, manufacturers, suppliers, logos TO link_session_service;
GRANT SELECT (id, manufacturer_id, key_hash, expires_at, revoked_at, last_used_at), UPDATE (last_used_at)
    ON api_keys TO link_session_service;
GRANT SELECT,
    INSERT (id, shard, token_hash, manufacturer_id, user_id, redirect_url, language, preferred_supplier, offered_suppliers,
            metadata, created_at, expires_at),
    UPDATE (expires_at, completed_at, sign_ins, supplier, supplier_user_id, nox_user_id, completed_by, confirmed_at)
    ON link_sessions TO link_session_service;
GRANT SELECT,
    INSERT (shard, key_hash, session_id, request_hash, secret_id, created_at, expires_at),
    UPDATE (session_id, request_hash, secret_id, created_at, expires_at)
    ON idempotency_keys TO link_session_service;
GRANT SELECT, INSERT (session_id, shard, event, reason, detail, supplier, request_id, authenticator_key) ON link_session_events TO link_session_service;
GRANT SELECT,
    INSERT (session_id, shard, state_hash, supplier, language),
    UPDATE (answered_at, answered_by, outcome, supplier_user_id, account)
    ON sign_ins TO link_session_service;
GRANT SELECT, INSERT (manufacturer_id, user_id), UPDATE (last_linked_on) ON nox_users TO link_session_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON rate_demands TO link_session_service;
GRANT SELECT, INSERT, UPDATE (succeeded, failed, declined) ON supplier_outcomes TO link_session_service;
GRANT EXECUTE ON FUNCTION maintain_partitions TO link_session_service;

-- link_session_operator: what a deployment's own migrations and the reports of `admin` need. No manufacturer is ever
-- deleted, since its sessions name it: it is disabled. A deployment's migrations are recorded in their own transaction,
-- by whoever applies them.
GRANT SELECT, INSERT, UPDATE, DELETE ON api_keys TO link_session_operator;
GRANT SELECT, INSERT, UPDATE ON manufacturers, suppliers TO link_session_operator;
GRANT SELECT, INSERT, DELETE ON logos TO link_session_operator;
GRANT SELECT ON supplier_outcomes, schema_migrations, deployment_migrations, link_sessions, link_session_events, sign_ins, nox_users, erasures TO link_session_operator;
GRANT INSERT (history, version, name, checksum) ON deployment_migrations TO link_session_operator;
GRANT EXECUTE ON FUNCTION erase_user, erase_supplier_user TO link_session_operator;
-- Its own actions are recorded by functions of the owner's, and it changes none of them.
GRANT SELECT ON operator_actions TO link_session_operator;
GRANT EXECUTE ON FUNCTION record_operator_action TO link_session_operator;
