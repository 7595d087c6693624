internal import HTTPFront
internal import LinkSessionRepository
internal import PostgresClient

extension HealthCheck {
    /// What the database has to say, within a second.
    static func ofDatabase(_ database: DatabaseClient, schema: MigrationHistory) async -> [HealthCheck] {
        let deadline = ContinuousClock.now + .milliseconds(900)
        let untold = "the database did not tell"
        do throws(DatabaseError) {
            let status = try await Migrator.status(of: schema, in: database, until: deadline)
            let told = try? await RetentionRepository(database: database).readiness(until: deadline)
            let partitions =
                switch told?.hasTomorrow {
                case true?: HealthCheck(name: "partitions", state: "ok")
                // Nothing is refused for that: the default partition takes what has none.
                case false?: HealthCheck(name: "partitions", state: "late", cause: "tomorrow's are not made yet")
                case nil: HealthCheck(name: "partitions", state: "unknown", cause: untold)
                }
            let answering =
                switch told?.refusal {
                case .readOnly?:
                    HealthCheck(name: "database", state: "read_only", cause: "it takes no writes (SQLSTATE 25006)")
                case .diskFull?:
                    HealthCheck(name: "database", state: "disk_full", cause: "its disk is full (SQLSTATE 53100)")
                case .stalled?:
                    HealthCheck(
                        name: "database", state: "unavailable", cause: "it answers, and a write did not end in time")
                case nil: HealthCheck(name: "database", state: "ok")
                }
            return [answering, HealthCheck(status), partitions]
        } catch {
            return [
                HealthCheck(name: "database", state: "unavailable", cause: error.description),
                HealthCheck(name: "migrations", state: "unknown", cause: untold),
                HealthCheck(name: "partitions", state: "unknown", cause: untold),
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
