internal import PostgresClient

/// The roles of the cluster that migrations grant rights to. What each may do is in the migrations.
package enum DatabaseRole: String, CaseIterable, Sendable {
    /// For `serve` and `purge`.
    case service = "link_session_service"
    /// For a deployment's own migrations, and for reports and erasures.
    case `operator` = "link_session_operator"

    var creation: String {
        """
        DO $$
        BEGIN
            IF to_regrole('\(rawValue)') IS NULL THEN
                CREATE ROLE \(rawValue) NOLOGIN;
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- by another caller, at the same moment
        END
        $$;
        DO $$
        BEGIN
            IF EXISTS (
                SELECT FROM pg_roles r WHERE rolname = '\(rawValue)'
                AND (rolcanlogin OR rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls OR rolreplication
                     OR EXISTS (SELECT FROM pg_auth_members WHERE member = r.oid)))
            THEN
                RAISE EXCEPTION 'the role \(rawValue) exists and may do more than it should: make it NOLOGIN, without rights of its own or of other roles';
            END IF;
        END
        $$;
        """
    }

    static let exists = Query<Bool>(
        "is_role", "SELECT to_regrole($1::text) IS NOT NULL",
        readOne: { (row) throws(DatabaseError) in try row.bool() })
}
