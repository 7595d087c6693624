// link-session-service admin: what its commands share.

internal import ArgumentParser
internal import LinkSessionRepository
internal import LinkSessions
internal import PostgresClient

struct Admin: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Writes migrations that change manufacturers, keys and suppliers; reports; erases a user.",
        discussion: """
            A command that changes something writes the next numbered file into the last of MIGRATIONS_DIRECTORIES, to \
            be reviewed and applied by migrate, and prints its path. With --apply it is applied at once. A new key is \
            printed once, alone on standard output: only its SHA-256 is in the file and in the database.

            Exit codes: 1 where it could not be done, 64 where an argument is wrong. Either way nothing is half written.
            """,
        subcommands: [
            AddManufacturer.self, AddKey.self, RotateKey.self, RevokeKey.self, Enable.self, Disable.self,
            AllowRedirect.self, RemoveRedirect.self, SetRedirectPolicy.self, AddSupplier.self, EnableSupplier.self,
            DisableSupplier.self, ListManufacturers.self, ListSuppliers.self, Sessions.self, EraseUser.self,
            CreateRoles.self,
        ])
}

/// An argument that is wrong, as one line that names it and says what it expects.
struct WrongArgument: Error {
    let line: String

    init(_ argument: String, expects expectation: String) {
        line = "\(argument) expects \(expectation)"
    }
}

/// Runs a command, and ends it with one line on standard error where it fails.
func reportingFailures(_ body: () async throws -> Void) async throws {
    do {
        try await body()
    } catch let problem as WrongArgument {
        throw fail([problem.line], code: 64)
    } catch let problem as Settings.Problem {
        throw fail(problem.line)
    } catch let failure as MigrationError {
        throw fail(failure.lines)
    } catch let failure as Administration.Failure {
        throw fail(failure.line)
    } catch let problem as SystemProblem {
        throw fail(problem.line)
    }
}

extension DisplayText {
    init(_ text: String, for argument: String) throws(WrongArgument) {
        do throws(DisplayTextError) {
            try self.init(text)
        } catch {
            throw WrongArgument(argument, expects: error.expectation)
        }
    }

    init(brand text: String, for argument: String) throws(WrongArgument) {
        do throws(DisplayTextError) {
            try self.init(brand: text)
        } catch {
            throw WrongArgument(argument, expects: error.expectation)
        }
    }
}

extension RedirectURL {
    /// A URL to be registered, in its canonical form: the query is the caller's own at every request, so it has none.
    init(toRegister text: String, for argument: String) throws(WrongArgument) {
        do throws(LinkSessions.ValidationError) {
            self = try RedirectURL(text).canonical
        } catch {
            throw WrongArgument(argument, expects: "a redirect URL that the API would accept: \(error.message)")
        }
        guard !text.contains("?") else {
            throw WrongArgument(argument, expects: "a URL without a query, which is the caller's own at every request")
        }
    }
}

/// A whole number with a unit: `90d`, `24h`, `30m`, `45s`.
func seconds(_ text: String, for argument: String, atLeast least: Int, atMostDays most: Int) throws(WrongArgument)
    -> Int
{
    let units: [Character: Int] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
    guard let unit = text.last.flatMap({ units[$0] }), text.dropLast().allSatisfy({ ("0"..."9").contains($0) }),
        let number = Int(text.dropLast()), number <= most * 86_400, (least...most * 86_400).contains(number * unit)
    else {
        throw WrongArgument(
            argument, expects: "a whole number with a unit, s, m, h or d, such as 24h; from \(least)s to \(most)d")
    }
    return number * unit
}
