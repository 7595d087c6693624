// What operators change while the service runs.

@testable import TestSupport
import Testing

extension Service {
    /// What an operator changes by SQL; this replica has it when the call returns.
    func change(_ sql: String, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        try await database.execute(sql)
        try await catchUp(sourceLocation: sourceLocation)
    }

    /// Waits until this replica has what operators changed.
    func catchUp(sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let version = try await database.count("SELECT version FROM control_plane_version")
        let deadline = ContinuousClock.now + .seconds(5)
        func isThere() -> Bool {
            process.log.split(separator: "\n").contains { line in
                line.contains("control plane loaded")
                    && line.split(separator: "version=").last.flatMap { Int($0) } ?? -1 >= version
            }
        }
        while !isThere() {
            guard ContinuousClock.now < deadline else {
                Issue.record("version \(version) has not come to this replica", sourceLocation: sourceLocation)
                return
            }
            try await Task.sleep(for: .milliseconds(10))
        }
    }
}
