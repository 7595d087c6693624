// What an operator asks and does at the command line, on a connection of its own.

package import LinkSessions
package import PostgresClient

/// Reports, erasure and roles. Every call connects anew, and fails with a line for the operator.
package struct Administration: Sendable {
    package struct Failure: Error, Sendable {
        package let line: String
    }

    private let address: DatabaseAddress

    package init(address: DatabaseAddress) {
        self.address = address
    }

    /// All manufacturers by name, each with all of its keys, the oldest first.
    package func manufacturers() async throws(Failure) -> [ManufacturerReport] {
        try await run(Self.manufacturers, ())
    }

    /// All suppliers by slug.
    package func suppliers() async throws(Failure) -> [SupplierReport] {
        try await run(Self.suppliers, ())
    }

    /// The sessions of a manufacturer's user, the oldest first. An unknown manufacturer is a failure.
    package func sessions(of user: ManufacturerUserID, at manufacturer: DisplayText) async throws(Failure)
        -> [SessionReport]
    {
        guard let sessions = try await run(Self.sessions, (manufacturer, user)) else {
            throw Failure(line: "there is no manufacturer of this name")
        }
        return sessions
    }

    /// Deletes every trace of a manufacturer's user.
    package func erase(_ user: ManufacturerUserID, at manufacturer: DisplayText) async throws(Failure) -> ErasureReceipt
    {
        try await run(Self.erase, (manufacturer, user))
    }

    /// Makes the roles that migrations grant rights to, where they do not exist.
    ///
    /// - Returns: the names of those that were made.
    package func createRoles() async throws(Failure) -> [String] {
        try await onThread { connection throws(ScriptError) in
            var created: [String] = []
            for role in DatabaseRole.allCases {
                let wasThere = try connection.run(Self.isRole, role.rawValue, until: .now + Self.longest)
                _ = try connection.execute(script: role.creation, until: .now + Self.longest)
                if !wasThere { created.append(role.rawValue) }
            }
            return created
        }
    }

    private func run<Input: Sendable, Output: Sendable>(
        _ query: Query<Input, Output>, _ input: Input
    ) async throws(Failure) -> Output {
        try await onThread { connection throws(ScriptError) in
            try connection.run(query, input, until: .now + Self.longest)
        }
    }

    private func onThread<Value: Sendable>(
        _ body: @escaping @Sendable (inout Connection) throws(ScriptError) -> Value
    ) async throws(Failure) -> Value {
        try await Connection.onThread(
            to: address, applicationName: "link-session-admin",
            settings: "SET lock_timeout = '3s'; SET client_min_messages = 'warning'; SET timezone = 'UTC'"
        ) { connection throws(Failure) in
            do throws(ScriptError) {
                return try body(&connection)
            } catch {
                throw Failure(line: error.message + (error.sqlState.map { " (SQLSTATE \($0))" } ?? ""))
            }
        } cannotConnect: {
            Failure(line: "cannot connect to the database: \($0.message)")
        }
    }

    /// Reading a large table to its end takes its time.
    private static let longest = Duration.seconds(600)
}

/// The roles of the cluster. What each may do is in the migrations.
package enum DatabaseRole: String, CaseIterable, Sendable {
    /// For `serve` and `purge`.
    case service = "link_session_service"
    /// For a deployment's own migrations.
    case `operator` = "link_session_operator"

    /// Whoever migrates has to be able to become the operator; a superuser is anyway.
    fileprivate var creation: String {
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
            -- Since PostgreSQL 16 a member may not always become the role.
            IF NOT pg_has_role(
                current_user, '\(rawValue)',
                CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END)
            THEN
                GRANT \(rawValue) TO CURRENT_USER;
            END IF;
        END
        $$;
        """
    }
}

package struct SupplierReport: Sendable {
    package let slug: String
    package let name: String
    package let isEnabled: Bool
    package let issuer: String
    package let clientID: String
    package let clientSecretName: String
    package let scopes: [String]
    package let createdAt: UnixSeconds
}

package struct ManufacturerReport: Sendable {
    package let id: Manufacturer.ID
    package let name: String
    package let brand: String?
    package let isEnabled: Bool
    package let isUnrestricted: Bool
    package let redirectURLs: [String]
    package let createdAt: UnixSeconds
    package fileprivate(set) var keys: [KeyReport] = []
}

package struct KeyReport: Sendable {
    package enum State: String, Sendable { case usable, expired, revoked }

    package let digest: SHA256Digest
    package let label: String
    package let state: State
    package let createdAt: UnixSeconds
    package let expiresAt: UnixSeconds?
    package let revokedAt: UnixSeconds?
    package let lastUsedAt: UnixSeconds?
}

package struct SessionReport: Sendable {
    package let tokenDigest: SHA256Digest
    package let session: LinkSession
    package fileprivate(set) var events: [SessionEvent] = []
}

package struct SessionEvent: Sendable {
    package let event: String
    package let reason: String?
    package let requestID: String
    package let occurredAt: UnixSeconds
}

package struct ErasureReceipt: Sendable {
    package let sessions: Int64
    package let events: Int64
    package let erasedAt: UnixSeconds
}

extension Administration {
    private static let isRole = Query<String, Bool>(
        Statement("is_role", "SELECT to_regrole($1::text) IS NOT NULL"),
        encode: { name, parameters in parameters.append(name) },
        readOne: { (row) throws(DatabaseError) in try row.bool() })

    private static let manufacturers = Query<Void, [ManufacturerReport]>(
        Statement(
            "report_manufacturers",
            """
            SELECT \(ManufacturerReport.columns), \(KeyReport.columns)
            FROM manufacturers m LEFT JOIN api_keys k ON k.manufacturer_id = m.id
            ORDER BY m.name, m.id, k.created_at, k.id
            """),
        encode: { _, _ in },
        decode: { result throws(DatabaseError) in
            var manufacturers: [ManufacturerReport] = []
            try result.forEachRow { (row) throws(DatabaseError) in
                let manufacturer = try row.manufacturerReport()
                if manufacturers.last?.id != manufacturer.id { manufacturers.append(manufacturer) }
                guard let key = try row.keyReport() else { return }
                manufacturers[manufacturers.count - 1].keys.append(key)
            }
            return manufacturers
        })

    private static let suppliers = Query<Void, [SupplierReport]>(
        Statement("report_suppliers", "SELECT \(SupplierReport.columns) FROM suppliers ORDER BY slug"),
        encode: { _, _ in },
        readEach: { (row) throws(DatabaseError) in try row.supplierReport() })

    private static let sessions = Query<(DisplayText, ManufacturerUserID), [SessionReport]?>(
        Statement(
            "report_sessions",
            """
            SELECT s.token_hash, \(LinkSession.columnsWithManufacturer()), \(SessionEvent.columns)
            FROM manufacturers m
            LEFT JOIN link_sessions s ON s.manufacturer_id = m.id AND s.user_id = $2::text
            LEFT JOIN link_session_events e ON e.token_hash = s.token_hash
            WHERE m.name = $1::text
            ORDER BY s.created_at, s.token_hash, e.occurred_at, e.event
            """),
        encode: encode,
        decode: { result throws(DatabaseError) in
            guard result.rowCount > 0 else { return nil }
            var sessions: [SessionReport] = []
            try result.forEachRow { (row) throws(DatabaseError) in
                guard let digest = try row.optionalDigest() else { return row.skipRest() }
                let session = try row.linkSession()
                if sessions.last?.tokenDigest != digest {
                    sessions.append(SessionReport(tokenDigest: digest, session: session))
                }
                guard let event = try row.sessionEvent() else { return }
                sessions[sessions.count - 1].events.append(event)
            }
            return sessions
        })

    private static let erase = Query<(DisplayText, ManufacturerUserID), ErasureReceipt>(
        Statement("erase_user", "SELECT \(ErasureReceipt.columns) FROM erase_user($1::text, $2::text)"),
        encode: encode,
        readOne: { (row) throws(DatabaseError) in try row.erasureReceipt() })

    @Sendable private static func encode(
        _ input: (manufacturer: DisplayText, user: ManufacturerUserID), _ parameters: inout Parameters
    ) {
        parameters.append(input.manufacturer.text)
        parameters.append(input.user.text)
    }
}

// MARK: Rows

extension ManufacturerReport {
    fileprivate static let columns = """
        m.id, m.name, m.brand, m.enabled, m.redirect_policy = 'unrestricted', m.redirect_urls, m.created_at
        """
}

extension Row {
    fileprivate mutating func manufacturerReport() throws(DatabaseError) -> ManufacturerReport {
        ManufacturerReport(
            id: Manufacturer.ID(try int64()), name: try text(), brand: try optionalText(), isEnabled: try bool(),
            isUnrestricted: try bool(), redirectURLs: try texts(), createdAt: try unixSeconds())
    }
}

extension KeyReport {
    fileprivate static let columns = """
        k.key_hash, k.label, CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked' \
        WHEN k.expires_at <= now() THEN 'expired' ELSE 'usable' END, \
        k.created_at, k.expires_at, k.revoked_at, k.last_used_at
        """
}

extension Row {
    /// - Returns: `nil` for a manufacturer without keys.
    fileprivate mutating func keyReport() throws(DatabaseError) -> KeyReport? {
        guard let digest = try optionalDigest() else {
            skipRest()
            return nil
        }
        let label = try text()
        guard let state = KeyReport.State(rawValue: try text()) else { throw mismatch() }
        return KeyReport(
            digest: digest, label: label, state: state, createdAt: try unixSeconds(),
            expiresAt: try optionalUnixSeconds(), revokedAt: try optionalUnixSeconds(),
            lastUsedAt: try optionalUnixSeconds())
    }
}

extension SupplierReport {
    fileprivate static let columns = """
        slug, name, enabled, issuer, client_id, client_secret_name, scopes, created_at
        """
}

extension Row {
    fileprivate mutating func supplierReport() throws(DatabaseError) -> SupplierReport {
        SupplierReport(
            slug: try text(), name: try text(), isEnabled: try bool(), issuer: try text(), clientID: try text(),
            clientSecretName: try text(), scopes: try texts(), createdAt: try unixSeconds())
    }
}

extension SessionEvent {
    fileprivate static let columns = "e.event, e.reason, e.request_id, e.occurred_at"
}

extension Row {
    /// - Returns: `nil` for a session without events.
    fileprivate mutating func sessionEvent() throws(DatabaseError) -> SessionEvent? {
        guard let event = try optionalText() else {
            skipRest()
            return nil
        }
        return SessionEvent(
            event: event, reason: try optionalText(), requestID: try text(), occurredAt: try unixSeconds())
    }
}

extension ErasureReceipt {
    fileprivate static let columns = "sessions, events, erased_at"
}

extension Row {
    fileprivate mutating func erasureReceipt() throws(DatabaseError) -> ErasureReceipt {
        ErasureReceipt(sessions: try int64(), events: try int64(), erasedAt: try unixSeconds())
    }
}
