// Where the tests' PostgreSQL is. A missing one is a failure, never a skip.

package import Foundation

package enum TestEnvironment {
    package struct Missing: Error, CustomStringConvertible {
        let name: String
        package var description: String { "\(name) is not set: run the tests with scripts/test" }
    }

    /// A URI of a throwaway server's database `postgres`, as its superuser.
    package static var databaseURL: String {
        get throws { try value("TEST_DATABASE_URL") }
    }

    /// Where initdb and postgres are.
    package static var postgresBinaries: String {
        get throws { try value("TEST_POSTGRES_BINDIR") }
    }

    /// Whom PostgreSQL is run as, since it refuses root; `nil`: as oneself.
    package static var postgresUser: String? {
        let name = ProcessInfo.processInfo.environment["TEST_POSTGRES_USER"] ?? ""
        return name.isEmpty ? nil : name
    }

    /// The directories of the sockets of a Citus cluster's nodes, the coordinator first: then every test's database is
    /// distributed over them. `nil`: on plain PostgreSQL.
    package static var citusNodes: [String]? {
        let nodes = ProcessInfo.processInfo.environment["TEST_CITUS_NODES"]?.split(separator: " ").map(String.init)
        return nodes?.isEmpty == false ? nodes : nil
    }

    /// What every program of a test gets; with `scripts/test --sanitize` also what the sanitizer is told.
    package static var ofPrograms: [String: String] {
        let told = ["ASAN_OPTIONS", "LD_PRELOAD", "TSAN_OPTIONS"]
        return ProcessInfo.processInfo.environment.filter { told.contains($0.key) }
            .merging(["PATH": "/usr/bin:/bin"]) { $1 }
    }

    package static let projectDirectory = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// The built program lies beside the tests' own bundle.
    package static var serviceBinary: URL {
        get throws {
            var directory = URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath()
            for argument in CommandLine.arguments where argument.hasSuffix(".xctest") {
                directory = URL(filePath: argument)
            }
            let binary = directory.deletingLastPathComponent().appending(path: "link-session-service")
            guard FileManager.default.isExecutableFile(atPath: binary.path) else {
                throw Missing(name: "link-session-service beside \(directory.path)")
            }
            return binary
        }
    }

    private static func value(_ name: String) throws -> String {
        guard let value = ProcessInfo.processInfo.environment[name], !value.isEmpty else { throw Missing(name: name) }
        return value
    }
}
