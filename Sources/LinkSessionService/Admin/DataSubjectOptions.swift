internal import ArgumentParser
internal import Foundation
internal import LinkSessionRepository
internal import LinkSessions

/// Whose data a command is about. The user's id comes from standard input, where nobody else can read it.
struct DataSubjectOptions: ParsableArguments {
    @Option(help: "The manufacturer's name, where the id is the manufacturer's.") var manufacturer: String?
    @Option(help: "The supplier's slug, where the id is the supplier's.") var supplier: String?

    /// How a report names it: what was asked for, without the user's id.
    var asked: (name: String, value: String) {
        supplier.map { ("supplier", $0) } ?? ("manufacturer", manufacturer ?? "")
    }

    func validate() throws {
        guard (manufacturer == nil) != (supplier == nil) else {
            throw ArgumentParser.ValidationError("Either --manufacturer or --supplier: whose id is on standard input.")
        }
    }

    func subject(in repository: AdminRepository) async throws -> DataSubject {
        if let supplier {
            let slug = try Supplier.Slug(argument: supplier, for: "--supplier")
            guard let identity = SupplierIdentity(supplier: slug, userID: try Self.userID()) else {
                throw CommandError.argument(
                    "standard input", expects: "the supplier's user id: 1 to 255 characters, no control character")
            }
            return .account(identity)
        }
        let name = try DisplayText(manufacturer ?? "", for: "--manufacturer")
        let userID = try ManufacturerUserID(try Self.userID(), for: "standard input")
        return .user(userID, of: try await repository.manufacturer(named: name))
    }

    /// One line; its end does not count.
    private static func userID() throws(CommandError) -> String {
        if isatty(STDIN_FILENO) == 1 { printToStandardError("the user id, then Enter and Ctrl-D:") }
        // 256 scalars of at most 4 bytes, and a line's end.
        let most = 1026
        guard let input = try? FileHandle.standardInput.read(upToCount: most + 1) ?? Data(), input.count <= most,
            var userID = String(validating: input, as: UTF8.self)
        else { throw .argument("standard input", expects: "one user id as UTF-8 text") }
        if userID.unicodeScalars.last == "\n" { userID.unicodeScalars.removeLast() }
        if userID.unicodeScalars.last == "\r" { userID.unicodeScalars.removeLast() }
        return userID
    }
}
