// admin create-roles

internal import ArgumentParser
internal import LinkSessionRepository

struct CreateRoles: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make the roles that migrations grant rights to, once a cluster.",
        discussion: "Needs a role that may make roles. The new ones cannot log in and have no password.")

    func run() async throws {
        try await reportingFailures {
            let created = try await AdminRepository(address: try await Settings().read(\.database)).createRoles()
            for role in DatabaseRole.allCases.map(\.rawValue) {
                printToStandardOutput(created.contains(role) ? "created  \(role)" : "exists   \(role)")
            }
        }
    }
}
