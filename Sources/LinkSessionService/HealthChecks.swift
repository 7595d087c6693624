// What has to be in order for a replica to be ready.

internal import APIKeyAuth
internal import HTTPFront
internal import PostgresClient

extension HealthCheck {
    static func ofAPIKeys(_ keys: APIKeyCache) -> HealthCheck {
        keys.isFresh
            ? HealthCheck(name: "api_keys", state: "ok")
            : HealthCheck(name: "api_keys", state: "unavailable", cause: "not confirmed within a second")
    }

    /// What the database has to say, within a second.
    static func ofDatabase(_ database: DatabaseClient, schema: MigrationHistory) async -> [HealthCheck] {
        do throws(DatabaseError) {
            let status = try await Migrator.status(of: schema, in: database, until: .now + .milliseconds(900))
            return [HealthCheck(name: "database", state: "ok"), HealthCheck(status)]
        } catch {
            return [
                HealthCheck(name: "database", state: "unavailable", cause: error.description),
                HealthCheck(name: "migrations", state: "unknown", cause: "the database did not tell"),
            ]
        }
    }

    private init(_ status: MigrationStatus) {
        if let problem = status.problems.first {
            self.init(name: "migrations", state: "edited", cause: problem)
        } else if let pending = status.pending.first {
            self.init(name: "migrations", state: "behind", cause: "\(pending) is not applied: run migrate")
        } else if let ahead = status.ahead.last {
            self.init(name: "migrations", state: "ahead", cause: "\(ahead) is later than this build")
        } else {
            self.init(name: "migrations", state: "ok")
        }
    }
}
