// The real program, as a process of its own.

package import Foundation
import Synchronization

package final class ServiceProcess: @unchecked Sendable {  // Foundation's Process is used by one test at a time.
    private let process = Process()
    private let output = Mutex<(text: String, waiters: [CheckedContinuation<Void, Never>])>(("", []))

    package private(set) var port = 0

    package struct Died: Error, CustomStringConvertible {
        package let description: String
    }

    /// Everything that it wrote to standard output and standard error so far.
    package var log: String { output.withLock { $0.text } }

    package var processID: pid_t { process.processIdentifier }

    package var isRunning: Bool { process.isRunning }

    /// Starts `serve` on a free port and waits until it listens; ends it after `body`.
    package static func serving<Value>(
        _ database: TestDatabase, environment: [String: String] = [:], descriptorLimit: Int? = nil,
        _ body: (ServiceProcess) async throws -> Value
    ) async throws -> Value {
        let service = try ServiceProcess(
            ["serve"],
            environment: [
                "LINK_SESSION_ENV": "local", "DATABASE_URL": database.serviceURL, "HTTP_PORT": "0",
                "HTTP_MANAGEMENT_PORT": "0",
                "PUBLIC_BASE_URL": "https://auth.example",
                "AUTHENTICATOR_API_KEY_DIGESTS": "web:" + TestKeys.digest(TestKeys.authenticator), "LOG_LEVEL": "debug",
                "RETURN_SIGNING_KEYS": TestKeys.signing, "RETURN_CODE_SECRETS": TestKeys.codeSecret,
                "IDEMPOTENCY_SECRETS": TestKeys.idempotencySecret,
                "WEBHOOK_SIGNING_KEYS": TestKeys.webhookSigning, "WEBHOOK_SECRETS": TestKeys.webhookSecret,
            ].merging(environment) { $1 }, shell: descriptorLimit.map { "ulimit -n \($0)" })
        do {
            try await service.waitUntilListening()
            let value = try await body(service)
            service.end()
            return value
        } catch {
            service.end()
            throw error
        }
    }

    /// Runs a command to its end.
    package static func run(
        _ arguments: [String], environment: [String: String], directory: URL = TestEnvironment.projectDirectory
    ) async throws -> (status: Int32, output: String) {
        let service = try ServiceProcess(arguments, environment: environment, directory: directory)
        let status = try await service.waitForExit()
        return (status, service.log)
    }

    /// - Parameters:
    ///   - environment: all that the process gets, besides PATH.
    ///   - shell: run by a shell that then becomes the process.
    package init(
        _ arguments: [String], environment: [String: String], directory: URL = TestEnvironment.projectDirectory,
        shell: String? = nil
    ) throws {
        let binary = try TestEnvironment.serviceBinary
        if let shell {
            process.executableURL = URL(filePath: "/bin/sh")
            process.arguments = ["-c", "\(shell); exec \"$0\" \"$@\"", binary.path] + arguments
        } else {
            process.executableURL = binary
            process.arguments = arguments
        }
        process.environment = TestEnvironment.ofPrograms.merging(environment) { $1 }
        process.currentDirectoryURL = directory
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        process.standardInput = FileHandle.nullDevice
        try process.run()
        try pipe.fileHandleForWriting.close()
        // A thread that reads: the process must never wait for us.
        Thread.detachNewThread { [self] in
            var bytes: [UInt8] = []
            while true {
                let data = pipe.fileHandleForReading.availableData
                guard !data.isEmpty else { break }
                bytes += data
                let text = String(decoding: bytes, as: UTF8.self)
                let waiters = output.withLock { output in
                    output.text = text
                    defer { output.waiters = [] }
                    return output.waiters
                }
                for waiter in waiters { waiter.resume() }
            }
            try? pipe.fileHandleForReading.close()
        }
    }

    package func waitUntilListening() async throws {
        try await waitForLog("listening", within: 10)
        let line = log.split(separator: "\n").last { $0.contains("listening") && $0.contains("port=") }
        let digits = line?.split(separator: "port=").last?.prefix { $0.isNumber }
        guard let digits, let port = Int(digits) else { throw Died(description: "no port in the log: \(log)") }
        self.port = port
    }

    package func waitForLog(_ text: String, within seconds: Double) async throws {
        let deadline = Date().addingTimeInterval(seconds)
        while !log.contains(text) {
            guard process.isRunning, Date() < deadline else {
                throw Died(description: "'\(text)' did not appear in the log of \(seconds) s: \(log)")
            }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    package func send(_ signal: Int32) { kill(process.processIdentifier, signal) }

    /// The exit status; a signal's number plus 128.
    package func waitForExit(within seconds: Double = 30) async throws -> Int32 {
        let deadline = Date().addingTimeInterval(seconds)
        while process.isRunning {
            guard Date() < deadline else { throw Died(description: "still running after \(seconds) s: \(log)") }
            try await Task.sleep(for: .milliseconds(10))
        }
        return process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus
    }

    /// Peak and present resident memory, in bytes.
    package var residentMemory: Int {
        let status = (try? String(contentsOfFile: "/proc/\(processID)/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") } ?? ""
        return (Int(line.filter(\.isNumber)) ?? 0) * 1024
    }

    private func end() {
        guard process.isRunning else { return }
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }
}
