// The settings of serve, read before anything starts, so that a wrong one stops the start.

internal import LinkSessions
internal import PostgresClient
internal import TokenGenerator

struct ApplicationConfiguration: Sendable {
    let database: DatabaseAddress
    let databaseConnections: Int
    let schema: MigrationHistory
    let keyEnvironment: APIKey.Environment
    let authenticatorDigests: [SHA256Digest]
    let publicBaseURL: String
    let signingKeys: Rotated<SigningKey>
    let codeSecrets: Rotated<HMACSHA256>
    let sandboxKey: SigningKey?
    let host: String
    let port: Int
    let idleTimeout: Duration
    let maximumConnections: Int
    let retentionDays: Int
    let shutdownDelay: Int
    let shutdownGrace: Int

    /// - Parameter descriptors: how many the process may open.
    init(_ settings: Settings, descriptors: Int) throws {
        database = try settings.read(\.database)
        databaseConnections = try settings.read(\.databaseConnections)
        authenticatorDigests = try settings.read(\.authenticatorDigests)
        signingKeys = try settings.read(\.returnSigningKeys)
        sandboxKey = try settings.read(\.sandboxSigningKey)
        codeSecrets = try settings.read(\.returnCodeSecrets)
        retentionDays = try settings.read(\.retentionDays)
        shutdownDelay = try settings.read(\.shutdownDelay)
        shutdownGrace = try settings.read(\.shutdownGrace)
        port = try settings.read(\.httpPort)
        host = try settings.read(\.httpHost)
        idleTimeout = .seconds(try settings.read(\.httpIdleSeconds))
        publicBaseURL = try settings.read(\.publicBaseURL)
        keyEnvironment = settings.keyEnvironment
        schema = try MigrationHistory.schema(of: try settings.read(\.migrationDirectories))
        // The others are for the database, the log and the suppliers.
        maximumConnections = max(64, min(10_000, descriptors - 1024))
    }
}
