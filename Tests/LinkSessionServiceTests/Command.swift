// One run of a command to its end, with both of its outputs apart.

import Foundation
import TestSupport

struct Command: Sendable {
    /// `nil` where it was still running when its time was up.
    let status: Int32?
    let output: String
    let errors: String

    var errorLines: [Substring] { errors.split(separator: "\n", omittingEmptySubsequences: true) }

    /// For the message of a failed expectation.
    var summary: String {
        "exit \(status.map(String.init) ?? "none"), stderr: \(errors.prefix(600)), stdout: \(output.prefix(600))"
    }

    /// - Parameters:
    ///   - program: by default the service.
    ///   - environment: all that the process gets, besides PATH.
    ///   - input: what it reads from standard input.
    static func run(
        _ arguments: [String], of program: URL? = nil, environment: [String: String] = [:],
        directory: URL = TestEnvironment.projectDirectory, input: String = "", within seconds: Double = 10
    ) async throws -> Command {
        try await withTemporaryDirectory { files in
            let process = Process()
            process.executableURL = try program ?? TestEnvironment.serviceBinary
            process.arguments = arguments
            process.environment = TestEnvironment.ofPrograms.merging(environment) { $1 }
            process.currentDirectoryURL = directory
            let (output, errors) = (files.appending(path: "output"), files.appending(path: "errors"))
            for file in [output, errors] { try Data().write(to: file) }
            try files.write(input, to: "input")
            let handles = [
                try FileHandle(forReadingFrom: files.appending(path: "input")), try FileHandle(forWritingTo: output),
                try FileHandle(forWritingTo: errors),
            ]
            (process.standardInput, process.standardOutput, process.standardError) = (
                handles[0], handles[1], handles[2]
            )
            try process.run()
            for handle in handles { try handle.close() }
            let deadline = Date().addingTimeInterval(seconds)
            while process.isRunning, Date() < deadline { try await Task.sleep(for: .milliseconds(5)) }
            let hasEnded = !process.isRunning
            if !hasEnded {
                kill(process.processIdentifier, SIGKILL)
                process.waitUntilExit()
            }
            return Command(
                status: hasEnded ? process.terminationStatus : nil,
                output: try String(contentsOf: output, encoding: .utf8),
                errors: try String(contentsOf: errors, encoding: .utf8))
        }
    }
}

func withTemporaryDirectory<Value>(_ body: (URL) async throws -> Value) async throws -> Value {
    let directory = FileManager.default.temporaryDirectory.appending(path: "test-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    return try await body(directory)
}

extension URL {
    /// Writes a file, and the directories above it.
    func write(_ text: String, to path: String) throws {
        let file = appending(path: path)
        try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: file)
    }
}
