internal import ArgumentParser
internal import Foundation
internal import LinkSessionRepository
internal import PostgresClient

/// A command fails with lines on standard error and an exit code.
protocol Command: AsyncParsableCommand {
    func perform() async throws
}

extension Command {
    func run() async throws {
        do {
            try await perform()
        } catch let error as CommandError {
            throw failure([error.line], code: error.exitCode)
        } catch let error as AdminError {
            throw failure([error.line])
        } catch let error as MigrationError {
            throw failure(error.lines)
        }
    }

    private func failure(_ lines: [String], code: Int32 = 1) -> ExitCode {
        for line in lines { printToStandardError("link-session-service: \(line)") }
        return ExitCode(code)
    }
}

/// Why a command could not do its work, as one line for the operator.
struct CommandError: Error {
    let line: String
    let exitCode: Int32

    init(_ line: String, exitCode: Int32 = 1) {
        self.line = line
        self.exitCode = exitCode
    }

    /// Never repeats the value: it may be a secret in the wrong place.
    static func setting(_ variable: String, expects expectation: String) -> CommandError {
        CommandError("\(variable) expects \(expectation)")
    }

    static func argument(_ argument: String, expects expectation: String) -> CommandError {
        CommandError("\(argument) expects \(expectation)", exitCode: 64)
    }

    /// For what is asked about a user.
    static let nothingKnown = CommandError("nothing is known of this user", exitCode: 3)

    /// Adds what `errno` says.
    static func system(_ what: String) -> CommandError { CommandError("\(what): \(String(cString: strerror(errno)))") }
}
