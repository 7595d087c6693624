internal import ArgumentParser
internal import LinkSessionRepository
internal import LinkSessions

struct CheckRedirect: Command {
    static let configuration = CommandConfiguration(
        abstract: "Say whether a manufacturer may send its users back to a URL, and if not, why.",
        discussion: "Exits 0 where it may, and 3 where it may not.")

    @OptionGroup var manufacturer: ManufacturerArgument
    @Argument(help: "The redirect_url as the manufacturer sends it.") var url: String

    func perform() async throws {
        let name = try manufacturer.name
        let url = try RedirectURL(toCheck: url)
        let policy = try await AdminRepository(address: try await Settings().operatorAddress).redirectPolicy(of: name)
        if let mismatch = policy.mismatch(of: url) {
            throw CommandError.redirectNotAllowed(mismatch.message)
        }
        switch policy {
        case .registered: print("allowed: it is registered")
        case .unrestricted: print("allowed: the manufacturer is UNRESTRICTED")
        }
    }
}
