internal import ArgumentParser
internal import LinkSessionRepository
internal import LinkSessions

struct Audit: ReportCommand {
    /// For so long they are kept.
    private static let mostDays = 400

    static let configuration = CommandConfiguration(
        abstract: "List what operators did and whose data they read, the oldest first.",
        discussion: "Kept for \(mostDays) days. Who ran the program on its machine is as the program said.")

    @Option(help: "Of how many days until now, 1 to \(mostDays).") var days = 30
    @OptionGroup var options: ReportOptions

    func report(from repository: AdminRepository) async throws -> Report {
        guard (1...Self.mostDays).contains(days) else {
            throw CommandError.argument("--days", expects: "1 to \(Self.mostDays)")
        }
        let actions = try await repository.operatorActions(ofDays: days)
        return Report(
            text: actions.isEmpty ? "no operator actions" : table([OperatorAction.columns] + actions.map(\.row)),
            json: ["operator_actions": actions.map(\.json)])
    }
}

extension OperatorAction {
    fileprivate static let columns = ["WHEN", "LOGIN", "OS USER", "PROGRAM", "ACTION", "SUBJECT"]

    fileprivate var row: [String] {
        [timestamp(unixSeconds: occurredAt)]
            + [login, osUser ?? "", program, action, subject ?? ""].map(DisplayText.escaped)
    }

    fileprivate var json: JSONMembers {
        [
            "occurred_at": occurredAt, "login": login, "os_user": osUser, "program": program, "action": action,
            "subject": subject,
        ]
    }
}
