internal import ArgumentParser
internal import Foundation
internal import LinkSessionRepository
internal import LinkSessions
internal import TokenGenerator

struct EraseUser: ReportCommand {
    static let configuration = CommandConfiguration(
        abstract: "Delete every trace of a user, and print a receipt (GDPR, article 17).",
        discussion: """
            The user id comes from standard input, where nobody else can read it; a line's end after it does not count. \
            It is the manufacturer's, or with --supplier the supplier's: then the sessions that were completed with that \
            account are deleted, of whatever manufacturer. There is no migration: a file would keep what is to be \
            forgotten. Backups keep it until they are gone: after a restore, run erase-again with the digests of the \
            receipts. Exits 3 where nothing was known of the user.
            """)

    @OptionGroup var whose: DataSubjectOptions
    @OptionGroup var options: ReportOptions

    func report(from repository: AdminRepository) async throws -> Report {
        let secrets = try await Settings().requiredErasureDigestSecrets
        let subject = try await whose.subject(in: repository)
        let digest = try secrets.first.map { try $0.code(of: subject.bytes) }
        let receipt = try await repository.erase(subject, digest: digest)
        let (name, value) = whose.asked
        return Report(
            text: """
                erased at            \(timestamp(unixSeconds: receipt.erasedAt))
                \(name.padding(toLength: 21, withPad: " ", startingAt: 0))\(value)
                \(receipt.text)
                """,
            json: receipt.json(naming: (name, value)),
            failure: receipt.isOfNobody ? .nothingKnown : nil)
    }
}

struct EraseAgain: ReportCommand {
    static let configuration = CommandConfiguration(
        abstract: "After a restore, erase again whom a backup brought back.",
        discussion: """
            Looks through all users for those whose erasures the database remembers, or whose digests standard input \
            has, one a line as receipts have them: a backup lacks the erasures that came after it.
            """)

    @OptionGroup var options: ReportOptions

    func report(from repository: AdminRepository) async throws -> Report {
        let secrets = try await Settings().requiredErasureDigestSecrets
        guard !secrets.isEmpty else {
            throw CommandError.setting(
                Settings.list.erasureDigestSecrets.description.variable, expects: "the secrets of the erasures")
        }
        let given = try Self.digests()
        let (receipts, wanted) = try await repository.eraseAgain(given) { subject in
            secrets.compactMap { try? $0.code(of: subject.bytes) }
        }
        let summary = "looked for \(wanted), found and erased again \(receipts.count)"
        return Report(
            text: (receipts.map(\.text) + [summary]).joined(separator: "\n\n"),
            json: ["looked_for": wanted, "erased": receipts.map { $0.json(naming: nil) }])
    }

    private static func digests() throws(CommandError) -> [SHA256Digest] {
        if isatty(STDIN_FILENO) == 1 { printToStandardError("digests, one a line, then Ctrl-D:") }
        guard let input = try? FileHandle.standardInput.readToEnd() ?? Data() else {
            throw .argument("standard input", expects: "digests of receipts, one a line")
        }
        var digests: [SHA256Digest] = []
        for line in String(decoding: input, as: UTF8.self).split(whereSeparator: \.isWhitespace) {
            guard let digest = SHA256Digest(hex: line) else {
                throw .argument("standard input", expects: "digests of receipts, one a line: 64 hexadecimal digits")
            }
            digests.append(digest)
        }
        return digests
    }
}

extension Settings {
    fileprivate var requiredErasureDigestSecrets: [HMACSHA256] {
        get throws(CommandError) {
            let secrets = try self.erasureDigestSecrets
            guard !secrets.isEmpty || !isProduction else {
                let setting = Self.list.erasureDigestSecrets.description
                throw .setting(setting.variable, expects: setting.expectation)
            }
            return secrets
        }
    }
}

extension ErasureReceipt {
    fileprivate var text: String {
        """
        link sessions        \(sessions)
        link session events  \(events)
        sign-ins             \(signIns)
        NOX users            \(noxUserIDs.isEmpty ? "none" : noxUserIDs.joined(separator: ", "))
        digest               \(digest?.hex ?? "none: ERASURE_DIGEST_SECRETS is not set")
        """
    }

    fileprivate func json(naming asked: (name: String, value: String)?) -> JSONMembers {
        let members: JSONMembers = [
            "link_sessions": sessions, "link_session_events": events, "sign_ins": signIns,
            "nox_user_ids": noxUserIDs, "digest": digest?.hex, "erased_at": erasedAt,
        ]
        return asked.map { members.adding($0.name, $0.value) } ?? members
    }
}
