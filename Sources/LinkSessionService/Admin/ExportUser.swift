internal import ArgumentParser
internal import LinkSessionRepository
internal import LinkSessions

struct ExportUser: Command {
    static let configuration = CommandConfiguration(
        abstract: "Print all that is known of a user as JSON (GDPR, article 15).",
        discussion: """
            The user id comes from standard input, where nobody else can read it; a line's end after it does not count. \
            It is the manufacturer's, or with --supplier the supplier's. Times are Unix seconds. Digests of tokens and \
            of sign-ins' secrets are left out. Exits 3 where nothing is known of the user.
            """)

    @OptionGroup var whose: DataSubjectOptions

    func perform() async throws {
        let repository = AdminRepository(address: try await Settings().operatorAddress)
        let export = try await repository.export(try await whose.subject(in: repository))
        guard !export.isEmpty else { throw CommandError.nothingKnown }
        let names = Dictionary(uniqueKeysWithValues: try await repository.manufacturers().map { ($0.id, $0.name) })
        let members: JSONMembers = [
            "link_sessions": export.sessions.map { $0.export(names) }, "sign_ins": export.signIns.map(\.export),
            "nox_users": export.noxUsers.map { $0.export(names) },
        ]
        print(try members.text)
    }
}

extension SessionReport {
    fileprivate func export(_ manufacturers: [Manufacturer.ID: String]) -> JSONMembers {
        report.json
            .adding("manufacturer", manufacturers[session.manufacturer])
            .adding("manufacturer_user_id", session.userID.text)
            .adding("supplier_user_id", session.link?.identity?.userID)
            .adding("nox_user_id", session.link?.noxUserID)
            .adding(
                "metadata",
                session.options.metadata?.members.map { ["name": $0.name, "value": $0.value] as JSONMembers })
    }
}

extension SignInReport {
    fileprivate var export: JSONMembers {
        [
            "link_session": session.text, "supplier": supplier, "language": language, "started_at": startedAt,
            "answered_at": answeredAt, "outcome": outcome, "supplier_user_id": supplierUserID, "account": account,
        ]
    }
}

extension NOXUserReport {
    fileprivate func export(_ manufacturers: [Manufacturer.ID: String]) -> JSONMembers {
        [
            "manufacturer": manufacturers[manufacturer], "manufacturer_user_id": userID, "nox_user_id": id,
            "created_at": createdAt, "last_linked_on": lastLinkedOn,
        ]
    }
}
