// How a command fails: with lines on standard error and an exit code.

internal import ArgumentParser
internal import LinkSessionRepository
internal import PostgresClient

/// Runs a command, and ends it with a line on standard error where it fails.
func reportingFailures(_ body: () async throws -> Void) async throws {
    do {
        try await body()
    } catch let error as ArgumentError {
        throw failure([error.line], code: 64)
    } catch let error as SettingError {
        throw failure(error.line)
    } catch let error as MigrationError {
        throw failure(error.lines)
    } catch let error as AdminError {
        throw failure(error.line)
    } catch let error as SystemError {
        throw failure(error.line)
    } catch is QuotingError {
        throw failure("libpq could not quote a value: out of memory")
    }
}

/// Prints the lines to standard error; throwing it ends the program.
func failure(_ lines: String...) -> ExitCode {
    failure(lines)
}

func failure(_ lines: [String], code: Int32 = 1) -> ExitCode {
    for line in lines { printToStandardError("link-session-service: \(line)") }
    return ExitCode(code)
}

/// An argument that is wrong, as one line that names it and says what it expects.
struct ArgumentError: Error {
    let line: String

    init(_ argument: String, expects expectation: String) {
        line = "\(argument) expects \(expectation)"
    }
}
