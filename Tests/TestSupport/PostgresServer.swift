// A PostgreSQL server that a test may kill.

import Foundation

package final class PostgresServer: @unchecked Sendable {  // Used by one test at a time.
    private let directory: URL
    private let binaries: String
    private let user: String?
    /// Of `pg_ctl`.
    private let startCommand: String

    package var url: String { "postgres://postgres@/postgres?host=\(directory.path)" }

    /// Makes a cluster and starts it; `body` may do with it what it likes.
    package static func with<Value>(_ body: (PostgresServer) async throws -> Value) async throws -> Value {
        let server = try PostgresServer()
        do {
            try await server.start()
            let value = try await body(server)
            server.remove()
            return value
        } catch {
            server.remove()
            throw error
        }
    }

    /// One that runs already, as a node of a cluster, and is started again with the options that it was started with.
    ///
    /// - Parameter directory: has its data as `data`.
    package init(runningIn directory: String) throws {
        binaries = try TestEnvironment.postgresBinaries
        user = TestEnvironment.postgresUser
        self.directory = URL(filePath: directory)
        startCommand = "restart"
    }

    private init() throws {
        binaries = try TestEnvironment.postgresBinaries
        user = TestEnvironment.postgresUser
        startCommand = "start"
        let id = UUID().uuidString.prefix(8)
        directory = FileManager.default.temporaryDirectory.appending(path: "pg-\(id)")
        try FileManager.default.createDirectory(
            at: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        if let user { try Self.run("/bin/chown", [user, directory.path]) }
        try runAsUser("\(binaries)/initdb", ["-D", data, "-U", "postgres", "-A", "trust", "--no-sync"])
        let settings = """

            listen_addresses = ''
            unix_socket_directories = '\(directory.path)'
            max_connections = 100
            fsync = off
            """
        let file = directory.appending(path: "settings.conf")
        try settings.write(to: file, atomically: true, encoding: .utf8)
        try runAsUser("/bin/sh", ["-c", "cat '\(file.path)' >> '\(data)/postgresql.conf'"])
    }

    private var data: String { directory.path + "/data" }

    package func start() async throws {
        try await onThread { [self] in
            // A killed server that its parent has not collected yet would count as a running one.
            let deadline = Date().addingTimeInterval(10)
            while let old = try? processIDs().first, kill(old, 0) == 0, Date() < deadline {
                Thread.sleep(forTimeInterval: 0.02)
            }
            // From inside its directory, to which the options of one that is started again refer.
            try runAsUser(
                "/bin/sh",
                [
                    "-c", "cd \"$0\" && exec \"$@\"", directory.path, "\(binaries)/pg_ctl", "-D", "data", "-l",
                    "data/server.log", "-w", "-t", "30", startCommand,
                ])
        }
    }

    /// `kill -9` of the postmaster and of every other process of the server.
    package func killHard() throws {
        let processes = try processIDs()
        for process in processes { kill(process, SIGKILL) }
        // The socket's lock file names a process that is gone; only then does a new server start.
        let deadline = Date().addingTimeInterval(10)
        while processes.contains(where: { kill($0, 0) == 0 && Self.state(of: $0) != "Z" }), Date() < deadline {
            Thread.sleep(forTimeInterval: 0.02)
        }
    }

    /// SIGSTOP: connections stay open and nothing answers from when it returns.
    package func freeze() throws {
        // The postmaster first: it could start others meanwhile.
        try stop(processIDs().prefix(1))
        try stop(processIDs()[...])
    }

    private func stop(_ processes: ArraySlice<pid_t>) {
        for process in processes { kill(process, SIGSTOP) }
        // One that waits for the disk goes on until it has its answer.
        let deadline = Date().addingTimeInterval(10)
        while processes.contains(where: { !["T", "Z", nil].contains(Self.state(of: $0)) }), Date() < deadline {
            Thread.sleep(forTimeInterval: 0.002)
        }
    }

    package func thaw() throws { for process in try processIDs() { kill(process, SIGCONT) } }

    private func processIDs() throws -> [pid_t] {
        let lines = try String(contentsOfFile: data + "/postmaster.pid", encoding: .utf8).split(separator: "\n")
        guard let first = lines.first, let postmaster = pid_t(first) else { return [] }
        let children = try? String(
            contentsOfFile: "/proc/\(postmaster)/task/\(postmaster)/children", encoding: .utf8)
        return [postmaster] + (children ?? "").split(separator: " ").compactMap { pid_t($0) }
    }

    /// As in proc_pid_stat(5): `T` is stopped, `Z` a zombie; `nil` is none at all.
    private static func state(of process: pid_t) -> Character? {
        let status = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
        return status?.split(separator: ") ", maxSplits: 1).last?.first
    }

    private func remove() {
        try? thaw()
        try? runAsUser("\(binaries)/pg_ctl", ["-D", data, "-m", "immediate", "stop"])
        try? FileManager.default.removeItem(at: directory)
    }

    private func runAsUser(_ program: String, _ arguments: [String]) throws {
        if let user {
            try Self.run("/usr/bin/setpriv", ["--reuid", user, "--regid", user, "--clear-groups", program] + arguments)
        } else {
            try Self.run(program, arguments)
        }
    }

    private struct Failed: Error {
        let command: String
        let status: Int32
        let output: String
    }

    /// Not by Foundation's Process: it waits until every descendant has closed a socket, and a server is one.
    private static func run(_ program: String, _ arguments: [String]) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0)
        // A file: a pipe would stay open for as long as a server does.
        let output = FileManager.default.temporaryDirectory.appending(path: "output-\(UUID().uuidString.prefix(8))")
        defer { try? FileManager.default.removeItem(at: output) }
        for descriptor in 1...2 as ClosedRange<Int32> {
            posix_spawn_file_actions_addopen(&actions, descriptor, output.path, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        }
        // A server outlives the test that froze it: it must hold nothing of ours open. And it does not start where it
        // inherits nearly a thousand.
        for descriptor in 3..<8192 as Range<Int32> { posix_spawn_file_actions_addclose(&actions, descriptor) }
        var pointers = ([program] + arguments).map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        var process = pid_t()
        func failure(_ status: Int32) -> Failed {
            Failed(
                command: ([program] + arguments).joined(separator: " "), status: status,
                output: String((try? String(contentsOf: output, encoding: .utf8))?.suffix(2000) ?? ""))
        }
        let spawned = posix_spawn(&process, program, &actions, nil, &pointers, environ)
        guard spawned == 0 else { throw failure(spawned) }
        var status: Int32 = 0
        while waitpid(process, &status, 0) == -1, errno == EINTR {}
        guard status == 0 else { throw failure(status) }
    }
}
