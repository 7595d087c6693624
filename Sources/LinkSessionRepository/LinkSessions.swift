package import LinkSessions
package import PostgresClient

/// The link sessions in the database. Every call is answered by its deadline.
///
/// Every statement names one session by its id and shard, and joins nothing but that session's own events and sign-ins:
/// so it touches one partition and, where the tables are distributed by shard, one node.
package struct LinkSessionRepository: Sendable {
    let database: DatabaseAccess
    let controlPlane: ControlPlaneCache

    /// - Parameter serviceClass: with whom its callers wait.
    package init(
        database: DatabaseClient, as serviceClass: ServiceClass = .first, controlPlane: ControlPlaneCache
    ) {
        self.database = DatabaseAccess(client: database, serviceClass: serviceClass)
        self.controlPlane = controlPlane
    }

    /// Stores a new session under its token's id and the token's digest. Concurrent calls share one INSERT and one
    /// commit.
    package func create(
        _ session: NewLinkSession, id: LinkSessionID, tokenDigest: SHA256Digest, until deadline: Deadline
    ) async throws(RepositoryError) -> LinkSession {
        try await database.answer(Self.create, (id, tokenDigest, session), until: deadline)
    }

    /// Finds a session by its id. Who is not known to be its owner has to prove the token: see
    /// ``find(_:tokenDigest:until:)``. Concurrent calls share one SELECT.
    package func find(
        _ id: LinkSessionID, until deadline: Deadline
    ) async throws(RepositoryError) -> LinkSessionSnapshot? {
        guard let found = try await stored(id, until: deadline) else { return nil }
        return try snapshot(of: found)
    }

    /// Finds a session whose token has this digest: compared in constant time and before all else, so that an id with a
    /// wrong secret is as unknown as any other.
    package func find(
        _ id: LinkSessionID, tokenDigest: SHA256Digest, until deadline: Deadline
    ) async throws(RepositoryError) -> LinkSessionSnapshot? {
        guard let found = try await stored(id, until: deadline), found.tokenDigest == tokenDigest else { return nil }
        return try snapshot(of: found)
    }

    /// Those of the sessions that there are.
    func find(
        _ ids: Set<LinkSessionID>, until deadline: Deadline
    ) async throws(RepositoryError) -> [LinkSessionID: LinkSession] {
        guard !ids.isEmpty else { return [:] }
        let found = try await database.answer(Self.findAll, Parameter.sessions(Array(ids)), until: deadline)
        return Dictionary(found.map { ($0.id, $0) }) { $1 }
    }

    private func stored(
        _ id: LinkSessionID, until deadline: Deadline
    ) async throws(RepositoryError) -> StoredLinkSession? {
        try await database.answer(Self.find, id, until: deadline).mapError(RepositoryError.init).get()
    }

    private func snapshot(of session: StoredLinkSession) throws(RepositoryError) -> LinkSessionSnapshot {
        LinkSessionSnapshot(session, of: try controlPlane.manufacturer(session.session.manufacturer))
    }

    private static let insert = """
        INSERT INTO link_sessions AS t
            (id, shard, token_hash, manufacturer_id, user_id, redirect_url, language, \(LinkSessionOptions.columns),
             created_at, expires_at)
        SELECT id, $2::smallint, token_hash, manufacturer_id, user_id, redirect_url, language, \(LinkSessionOptions.values),
               created_at, created_at + interval '\(LinkSession.lifetimeInSeconds) seconds'
        FROM unnest($1::uuid[], $3::bytea[], $4::bigint[], $5::text[], $6::text[], $7::text[],
                    $8::text[], $9::text[], $10::text[])
                 AS new (id, token_hash, manufacturer_id, user_id, redirect_url, language, \(LinkSessionOptions.columns)),
             date_trunc('second', statement_timestamp()) AS created_at
        """

    private static let create = GroupedQuery<
        (id: LinkSessionID, digest: SHA256Digest, new: NewLinkSession), LinkSession
    >(
        // In no order, and that does not matter: those that are made together have the same times.
        "create_link_sessions", "\(insert) RETURNING created_at, expires_at",
        // The first attempt may be committed, or still be under way: DO NOTHING would return no row for either.
        sqlForResend: """
            WITH stored AS (
                \(insert) ON CONFLICT (id, shard) DO UPDATE SET completed_at = t.completed_at
                RETURNING id, created_at, expires_at
            )
            SELECT created_at, expires_at
            FROM unnest($1::uuid[]) WITH ORDINALITY AS asked (id, number) JOIN stored USING (id)
            ORDER BY number
            """,
        maxBatchSize: 256, maxConcurrentBatches: 1,
        key: { $0.id.shard },
        encode: { inputs in
            [
                .uuids(inputs.map(\.id.bytes)), .shard(of: inputs[0].id), .blobs(inputs.map(\.digest.bytes)),
                .numbers(inputs.map(\.new.manufacturer.number)), .texts(inputs.map(\.new.userID.text)),
                .texts(inputs.map(\.new.redirectURL.text)), .texts(inputs.map(\.new.language.rawValue)),
            ] + Parameter.options(of: inputs.map(\.new.options))
        },
        decode: { result, inputs throws(DatabaseError) in
            let times = try result.map { (row) throws(DatabaseError) in
                (created: try row.unixSeconds(), expires: try row.unixSeconds())
            }
            return zip(inputs, times).map { input, times in
                LinkSession(input.new, id: input.id, createdAt: times.created, expiresAt: times.expires)
            }
        })

    /// The smallest and the largest id tell which partitions may have any of them, and each id which one has it. A
    /// volatile column keeps PostgreSQL from making a join of it that reads all that lies between the two.
    private static let findSQL = """
        SELECT \(StoredLinkSession.columns(now: "s.now"))
        FROM unnest($1::uuid[]) AS asked (id), LATERAL (
            SELECT *, clock_timestamp() AS now FROM link_sessions
            WHERE id = asked.id AND id BETWEEN $2::uuid AND $3::uuid AND shard = ANY ($4::smallint[])
        ) AS s
        """

    private static let findAll = Query<[LinkSession]>(
        "find_all_link_sessions", findSQL,
        readEach: { (row) throws(DatabaseError) in try row.storedLinkSession().session })

    private static let find = GroupedQuery<LinkSessionID, Result<StoredLinkSession?, DatabaseError>>(
        "find_link_sessions",
        findSQL,
        maxBatchSize: 256, maxConcurrentBatches: 1,
        encode: { Parameter.sessions($0) },
        decode: { result, inputs throws(DatabaseError) in
            try result.found(by: inputs) { (row) throws(DatabaseError) in
                try row.linkSessionID()
            } read: { (row, id) throws(DatabaseError) in
                try row.storedLinkSession(id: id)
            }
        })
}

extension Parameter {
    static func shard(of id: LinkSessionID) -> Parameter { .smallNumber(Int16(id.shard)) }

    /// `$1` to `$4` of the statements that find sessions of several callers: their ids, the smallest and the largest, and
    /// their shards.
    static func sessions(_ ids: [LinkSessionID]) -> [Parameter] {
        [
            .uuids(ids.map(\.bytes)), .blob(ids.min()?.bytes), .blob(ids.max()?.bytes),
            .smallNumbers(Set(ids.map(\.shard)).map(Int16.init)),
        ]
    }
}

extension QueryResult {
    /// What was found for each of the inputs. A row that cannot be read fails those who asked for it and nobody else.
    borrowing func found<ID: Hashable, Value>(
        by ids: [ID], _ readID: RowReader<ID>, read: (inout Row, ID) throws(DatabaseError) -> Value
    ) throws(DatabaseError) -> [Result<Value?, DatabaseError>] {
        var found: [ID: Result<Value?, DatabaseError>] = [:]
        try forEachRow { (row) throws(DatabaseError) in
            let id = try readID(&row)
            do throws(DatabaseError) {
                found[id] = .success(try read(&row, id))
            } catch {
                found[id] = .failure(error)
                row.skipRest()
            }
        }
        return ids.map { found[$0] ?? .success(nil) }
    }
}
