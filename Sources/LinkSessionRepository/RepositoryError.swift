internal import PostgresClient

/// What a caller of the repository has to tell apart.
package enum RepositoryError: Error, Sendable, Equatable {
    /// No answer from the database in time: worth another try.
    case unavailable(cause: String)
    /// The node on which the session lies, or would, does not answer; others may.
    case nodeUnreachable(cause: String)
    /// Too many callers wait already.
    case overloaded
    /// The code, the schema or a stored row is wrong. The cause is free of values.
    case bug(cause: String)

    init(_ error: DatabaseError) {
        switch error {
        case .unavailable(.overloaded): self = .overloaded
        case .unavailable(.nodeUnreachable): self = .nodeUnreachable(cause: error.description)
        case .unavailable, .cancelled: self = .unavailable(cause: error.description)
        case .refused, .undecodable: self = .bug(cause: error.description)
        }
    }
}

/// The database as callers of one class have it.
struct DatabaseAccess: Sendable {
    let client: DatabaseClient
    let serviceClass: ServiceClass

    /// The border between the client's errors and ours.
    func answer<Input: Sendable, Output: Sendable>(
        _ query: any DatabaseQuery<Input, Output>, _ input: Input, until deadline: Deadline
    ) async throws(RepositoryError) -> Output {
        do throws(DatabaseError) {
            return try await client.run(query, input, as: serviceClass, until: deadline)
        } catch {
            throw RepositoryError(error)
        }
    }
}

extension DatabaseClient {
    func answer<Input: Sendable, Output: Sendable>(
        _ query: any DatabaseQuery<Input, Output>, _ input: Input, until deadline: Deadline
    ) async throws(RepositoryError) -> Output {
        try await DatabaseAccess(client: self, serviceClass: .first).answer(query, input, until: deadline)
    }
}
