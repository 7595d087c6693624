package import LinkSessions
package import PostgresClient

/// What a completion came to.
package enum CompletionOutcome: Sendable {
    /// With this account, now or before: whoever lost the answer may ask again.
    case completed(LinkSession)
    /// With another account, before or at the same time.
    case completedByAnother(LinkSession)
    case expired(LinkSession)
    /// Open, and its manufacturer is disabled or may redirect there no more.
    case blocked
    /// Open, and the account's supplier is not enabled.
    case supplierDisabled
    /// There is no such session.
    case unknown
}

extension LinkSessionRepository {
    /// Completes an open session now, and links the manufacturer's user with the account; a completed session stays as
    /// it is, and so does an expired one. Of any number of racing calls one sets `completed_at`, and all that name its
    /// account get the same answer.
    ///
    /// What is refused is recorded as an event, but for ``CompletionOutcome/supplierDisabled``: only the caller knows
    /// whether a user confirmed, or a request names a supplier that never was.
    ///
    /// - Parameters:
    ///   - identity: the account that is linked; `nil` where the caller does not say.
    ///   - signIn: whose browser gets the result; `nil` where no browser of ours did it.
    package func complete(
        tokenDigest: SHA256Digest, as identity: SupplierIdentity?, signIn: SHA256Digest? = nil, requestID: String,
        until deadline: Deadline
    ) async throws(RepositoryError) -> CompletionOutcome {
        let snapshot = try await database.answer(LinkSessionSnapshot.query, [.blob(tokenDigest.bytes)], until: deadline)
        guard let snapshot else { return .unknown }
        // What has ended already is answered the same whatever changed meanwhile.
        if snapshot.session.status == .open {
            guard snapshot.isServed else {
                try await record(
                    .completionRefused(.blocked), tokenDigest: tokenDigest, requestID: requestID, until: deadline)
                return .blocked
            }
            if let slug = identity?.supplier, try await suppliers.enabled(slug, until: deadline) == nil {
                return .supplierDisabled
            }
        }
        let session = try await database.answer(
            Self.complete,
            [
                .blob(tokenDigest.bytes), .text(requestID), .text(identity?.supplier.text), .text(identity?.userID),
                .blob(signIn?.bytes),
            ], until: deadline)
        guard let session else { return .unknown }
        switch session.status {
        case .completed:
            return session.link?.identity == identity ? .completed(session) : .completedByAnother(session)
        case .expired:
            return .expired(session)
        case .open:
            throw .unavailable(
                cause:
                    "the session is still open after it was completed: its manufacturer was disabled meanwhile, or a clock stepped back"
            )
        }
    }

    /// Judges the session as it is once its row is locked. While its manufacturer is disabled it stays open.
    private static let complete = Query<LinkSession?>(
        "complete_link_session",
        """
        WITH s AS MATERIALIZED (
            SELECT s.*, m.enabled FROM link_sessions s JOIN manufacturers m ON m.id = s.manufacturer_id
            WHERE s.token_hash = $1::bytea FOR NO KEY UPDATE OF s
        ), nox_user AS (
            INSERT INTO nox_users (manufacturer_id, user_id)
            SELECT s.manufacturer_id, s.user_id FROM s
            WHERE s.enabled AND s.completed_at IS NULL AND s.expires_at > clock_timestamp()
            -- DO NOTHING would not return the row that is there.
            ON CONFLICT (manufacturer_id, user_id) DO UPDATE SET user_id = excluded.user_id
            RETURNING id
        ), changed AS (
            UPDATE link_sessions t
            SET completed_at = greatest(s.created_at, date_trunc('second', clock_timestamp())),
                nox_user_id = nox_user.id, supplier = $3::text, supplier_user_id = $4::text, completed_by = $5::bytea
            FROM s, nox_user
            WHERE t.token_hash = s.token_hash AND s.completed_at IS NULL AND s.expires_at > clock_timestamp()
            RETURNING t.completed_at, t.nox_user_id, t.supplier, t.supplier_user_id
        ), event AS (
            \(recording("""
                SELECT 'completed', NULL WHERE EXISTS (SELECT FROM changed)
                UNION ALL
                SELECT 'completion_refused', CASE WHEN s.enabled THEN 'expired' ELSE 'manufacturer_disabled' END
                WHERE s.completed_at IS NULL AND NOT EXISTS (SELECT FROM changed)
                UNION ALL
                SELECT 'completion_refused', 'completed_by_another'
                WHERE s.completed_at IS NOT NULL
                  AND (s.supplier, s.supplier_user_id) IS DISTINCT FROM ($3::text, $4::text)
                """))
        )
        SELECT \(LinkSession.columnsWithManufacturer(changed: "completed_at", "nox_user_id", "supplier", "supplier_user_id"))
        FROM s JOIN manufacturers m ON m.id = s.manufacturer_id LEFT JOIN changed ON true
        """,
        readOptional: { (row) throws(DatabaseError) in try row.linkSession() })
}
