package import LinkSessions
package import PostgresClient

/// What is kept of a create with an Idempotency-Key.
package struct IdempotencyRecord: Sendable {
    /// Of the manufacturer and its key.
    package let key: SHA256Digest
    /// Of the request's fields.
    package let request: SHA256Digest
    /// Names the secret under which the request's digest and the session's token were made.
    package let secretID: Int64

    package init(key: SHA256Digest, request: SHA256Digest, secretID: Int64) {
        self.key = key
        self.request = request
        self.secretID = secretID
    }
}

extension LinkSessionRepository {
    /// How long a key stands for the session that was made under it.
    private static let keyLifetime = "24 hours"

    private typealias Create = (
        id: LinkSessionID, digest: SHA256Digest, new: NewLinkSession, record: IdempotencyRecord, batch: UInt8
    )
    private typealias Stored = (session: LinkSession, record: IdempotencyRecord)

    /// Stores a new session as ``create(_:id:tokenDigest:until:)`` does, unless its key made one within the last 24
    /// hours, by the database's clock. Concurrent calls share one statement and one commit.
    ///
    /// - Parameter id: with the shard of the manufacturer, so that the session lies with its key.
    /// - Returns: the session of the key, as it was when it was made, and what is kept of that create. Another id than the
    ///   one given says that it was made before: then only what the records agree about is the caller's.
    package func create(
        _ session: NewLinkSession, id: LinkSessionID, tokenDigest: SHA256Digest, under record: IdempotencyRecord,
        until deadline: Deadline
    ) async throws(RepositoryError) -> (session: LinkSession, record: IdempotencyRecord) {
        // Those of several manufacturers go together, unless they lie on several nodes.
        let batch = try controlPlane.current().controlPlane.isDistributed ? id.shard : 0
        return try await database.answer(
            Self.createUnderKey, (id, tokenDigest, session, record, batch), until: deadline)
    }

    /// What a key's row has for as long as it is in force.
    private static let kept = ["session_id", "request_hash", "secret_id", "created_at", "expires_at"]

    /// One statement, so that there is no key without its session, and no session that its key does not find. Whoever
    /// races for a key waits for the first one's commit, and then gets what that one stored: all of it is in the key's
    /// row, since the rest of the statement does not see what was committed after it began.
    ///
    /// - Parameter ifStored: what to do with a session that an earlier attempt has stored.
    private static func claim(ifStored: String = "") -> String {
        """
        WITH claimed AS (
            INSERT INTO idempotency_keys AS k
                (shard, key_hash, session_id, request_hash, secret_id, created_at, expires_at)
            SELECT shard, key_hash, session_id, request_hash, secret_id, now, now + interval '\(keyLifetime)'
            FROM unnest($1::smallint[], $2::bytea[], $3::uuid[], $4::bytea[], $5::bigint[])
                     AS new (shard, key_hash, session_id, request_hash, secret_id),
                 date_trunc('second', statement_timestamp()) AS now
            ON CONFLICT (key_hash, shard) DO UPDATE SET
                \(kept.map { "\($0) = CASE WHEN k.expires_at > excluded.created_at THEN k.\($0) ELSE excluded.\($0) END" }
                    .joined(separator: ",\n        "))
            RETURNING key_hash, session_id, request_hash, secret_id, created_at
        ), made AS (
            INSERT INTO link_sessions
                (id, shard, token_hash, manufacturer_id, user_id, redirect_url, language, \(LinkSessionOptions.columns),
                 created_at, expires_at)
            SELECT new.id, shard, token_hash, manufacturer_id, user_id, redirect_url, language, \(LinkSessionOptions.values),
                   created_at, created_at + interval '\(LinkSession.lifetimeInSeconds) seconds'
            FROM unnest($1::smallint[], $3::uuid[], $6::bytea[], $7::bigint[], $8::text[], $9::text[], $10::text[],
                        $11::text[], $12::text[], $13::text[])
                     AS new (
                         shard, id, token_hash, manufacturer_id, user_id, redirect_url, language,
                         \(LinkSessionOptions.columns))
                 JOIN claimed ON claimed.session_id = new.id
            \(ifStored)
        )
        SELECT key_hash, session_id, request_hash, secret_id, created_at FROM claimed
        """
    }

    private static let createUnderKey = GroupedQuery<Create, Stored>(
        "create_link_sessions_under_keys", claim(),
        // The first attempt's key has the id that is sent again, and its session is there.
        sqlForResend: claim(ifStored: "ON CONFLICT (id, shard) DO NOTHING"),
        maxBatchSize: 256, maxConcurrentBatches: 1,
        key: { $0.batch },
        encode: { inputs in
            let inputs = Self.firstOfEachKey(inputs)
            return [
                .smallNumbers(inputs.map { Int16($0.id.shard) }), .blobs(inputs.map(\.record.key.bytes)),
                .uuids(inputs.map(\.id.bytes)), .blobs(inputs.map(\.record.request.bytes)),
                .numbers(inputs.map(\.record.secretID)), .blobs(inputs.map(\.digest.bytes)),
                .numbers(inputs.map(\.new.manufacturer.number)), .texts(inputs.map(\.new.userID.text)),
                .texts(inputs.map(\.new.redirectURL.text)), .texts(inputs.map(\.new.language.rawValue)),
            ] + Parameter.options(of: inputs.map(\.new.options))
        },
        decode: { result, inputs throws(DatabaseError) in
            var stored: [SHA256Digest: (record: IdempotencyRecord, id: LinkSessionID, created: UnixSeconds)] = [:]
            stored.reserveCapacity(inputs.count)
            try result.forEachRow { (row) throws(DatabaseError) in
                let (key, id) = (try row.digest(), try row.linkSessionID())
                let record = IdempotencyRecord(key: key, request: try row.digest(), secretID: try row.int64())
                stored[key] = (record, id, try row.unixSeconds())
            }
            var answers: [Stored] = []
            answers.reserveCapacity(inputs.count)
            for input in inputs {
                guard let (record, id, created) = stored[input.record.key] else { throw result.unexpectedRowCount }
                let session = LinkSession(
                    input.new, id: id, createdAt: created, expiresAt: created + LinkSession.lifetimeInSeconds)
                answers.append((session, record))
            }
            return answers
        })

    /// The first of those that came with the same key: one statement cannot claim a key twice, and what it stored is the
    /// answer for the others, too. In the order of their keys, so that two statements never wait for each other.
    private static func firstOfEachKey(_ inputs: [Create]) -> [Create] {
        var order = inputs.indices.map { (key: inputs[$0].record.key.leadingWords, index: $0) }
        order.sort { $0.key != $1.key ? $0.key < $1.key : $0.index < $1.index }
        var first: [Create] = []
        first.reserveCapacity(inputs.count)
        for (_, index) in order where first.last?.record.key != inputs[index].record.key { first.append(inputs[index]) }
        return first
    }
}
