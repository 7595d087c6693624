// The commands of admin that ask the database, erase a user, or make the roles.

internal import ArgumentParser
internal import LinkSessionRepository
internal import LinkSessions

#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#else
    internal import Foundation
#endif

struct ReportOptions: ParsableArguments {
    @Flag(help: "JSON, for programs; times are Unix seconds.") var json = false

    func administration() async throws -> Administration {
        Administration(address: try await Settings().database)
    }
}

struct ListManufacturers: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "All manufacturers with their redirect URLs and keys.")

    @OptionGroup var report: ReportOptions

    func run() async throws {
        try await reportingFailures {
            let manufacturers = try await report.administration().manufacturers()
            if report.json {
                try printJSON(.object(["manufacturers": .array(manufacturers.map(\.json))]))
            } else if manufacturers.isEmpty {
                printAnswer("no manufacturers")
            } else {
                printAnswer(manufacturers.map(\.text).joined(separator: "\n\n"))
            }
        }
    }
}

struct ListSuppliers: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "All energy suppliers with what we are at their providers.")

    @OptionGroup var report: ReportOptions

    func run() async throws {
        try await reportingFailures {
            let suppliers = try await report.administration().suppliers()
            if report.json {
                try printJSON(.object(["suppliers": .array(suppliers.map(\.json))]))
            } else if suppliers.isEmpty {
                printAnswer("no suppliers")
            } else {
                printAnswer(suppliers.map(\.text).joined(separator: "\n\n"))
            }
        }
    }
}

struct Sessions: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "A user's link sessions with what happened to them, the oldest first.",
        discussion: "Others on this machine can list a process's arguments, the user id among them.")

    @Option(help: "The manufacturer's name.") var manufacturer: String
    @Option(help: "The manufacturer's own id of its user.") var userID: String
    @OptionGroup var report: ReportOptions

    func run() async throws {
        try await reportingFailures {
            let sessions = try await report.administration().sessions(
                of: try ManufacturerUserID(userID, for: "--user-id"),
                at: try DisplayText(manufacturer, for: "--manufacturer"))
            if report.json {
                try printJSON(.object(["link_sessions": .array(sessions.map(\.json))]))
            } else if sessions.isEmpty {
                printAnswer("no link sessions")
            } else {
                printAnswer(sessions.map(\.text).joined(separator: "\n\n"))
            }
        }
    }
}

struct EraseUser: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Deletes every trace of a manufacturer's user, and prints a receipt (GDPR, article 17).",
        discussion: """
            The user id comes from standard input, where nobody else can read it; a line's end after it does not count. \
            There is no migration: a file would keep what is to be forgotten. Backups keep it until they are gone.
            """)

    @Option(help: "The manufacturer's name.") var manufacturer: String
    @OptionGroup var report: ReportOptions

    func run() async throws {
        try await reportingFailures {
            let manufacturer = try DisplayText(manufacturer, for: "--manufacturer")
            if standardInputIsTerminal { printToStandardError("the user id, then Enter and Ctrl-D:") }
            // 256 scalars of at most 4 bytes, and a line's end.
            guard let bytes = readStandardInput(atMost: 1026), var userID = String(validating: bytes, as: UTF8.self)
            else { throw WrongArgument("standard input", expects: "one user id as UTF-8 text") }
            if userID.unicodeScalars.last == "\n" { userID.unicodeScalars.removeLast() }
            if userID.unicodeScalars.last == "\r" { userID.unicodeScalars.removeLast() }
            let receipt = try await report.administration().erase(
                try ManufacturerUserID(userID, for: "standard input"), at: manufacturer)
            if report.json {
                try printJSON(
                    .object([
                        "manufacturer": .string(manufacturer.text), "link_sessions": .number(receipt.sessions),
                        "link_session_events": .number(receipt.events), "erased_at": .number(receipt.erasedAt),
                    ]))
            } else {
                printAnswer(
                    """
                    erased at            \(timestamp(unixSeconds: Int(receipt.erasedAt)))
                    manufacturer         \(manufacturer.text)
                    link sessions        \(receipt.sessions)
                    link session events  \(receipt.events)
                    """)
            }
        }
    }
}

struct CreateRoles: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Makes the roles that migrations grant rights to, once a cluster.",
        discussion: "Needs a role that may make roles. The new ones cannot log in and have no password.")

    func run() async throws {
        try await reportingFailures {
            let created = try await Administration(address: try await Settings().database).createRoles()
            for role in DatabaseRole.allCases.map(\.rawValue) {
                printAnswer(created.contains(role) ? "created  \(role)" : "exists   \(role)")
            }
        }
    }
}

extension ManufacturerUserID {
    fileprivate init(_ text: String, for argument: String) throws(WrongArgument) {
        do throws(LinkSessions.ValidationError) {
            try self.init(text)
        } catch {
            throw WrongArgument(argument, expects: "a user id as the API takes it: \(error.message)")
        }
    }
}

// MARK: For people

extension ManufacturerReport {
    fileprivate var text: String {
        let redirects =
            if isUnrestricted {
                ["ANY URL: UNRESTRICTED"]
            } else {
                redirectURLs.isEmpty ? ["none: it can send its users nowhere"] : redirectURLs.map(DisplayText.escaped)
            }
        return """
            \(DisplayText.escaped(name))\(isEnabled ? "" : " (DISABLED: none of its keys works)")
              brand      \(brand.map(DisplayText.escaped) ?? "none")
              audience   \(id.audience)
              created    \(timestamp(unixSeconds: Int(createdAt)))
              redirects  \(redirects.joined(separator: "\n             "))
            \(keys.isEmpty ? "  no keys" : table([KeyReport.columns] + keys.map(\.row), indent: "  "))
            """
    }

    fileprivate var json: JSON {
        .object([
            "name": .string(name), "brand": brand.map(JSON.string) ?? .null, "audience": .string(id.audience),
            "enabled": .bool(isEnabled),
            "redirect_policy": .string(isUnrestricted ? "unrestricted" : "registered"),
            "redirect_urls": .array(redirectURLs.map(JSON.string)), "created_at": .number(createdAt),
            "keys": .array(keys.map(\.json)),
        ])
    }
}

extension SupplierReport {
    fileprivate var text: String {
        """
        \(slug)\(isEnabled ? "" : " (DISABLED: nobody can sign in)")
          name       \(DisplayText.escaped(name))
          issuer     \(DisplayText.escaped(issuer))
          client id  \(DisplayText.escaped(clientID))
          secret in  \(clientSecretName)
          scopes     \(DisplayText.escaped(scopes.joined(separator: " ")))
          created    \(timestamp(unixSeconds: Int(createdAt)))
        """
    }

    fileprivate var json: JSON {
        .object([
            "slug": .string(slug), "name": .string(name), "enabled": .bool(isEnabled), "issuer": .string(issuer),
            "client_id": .string(clientID), "client_secret_name": .string(clientSecretName),
            "scopes": .array(scopes.map(JSON.string)), "created_at": .number(createdAt),
        ])
    }
}

extension KeyReport {
    fileprivate static let columns = ["KEY", "LABEL", "STATE", "CREATED", "EXPIRES", "LAST USED"]

    /// Enough to tell a manufacturer's keys apart, and of no use to anybody else.
    private var digestPrefix: String { String(digest.hex.prefix(12)) }

    fileprivate var row: [String] {
        [
            digestPrefix, DisplayText.escaped(label),
            revokedAt.map { "revoked \(timestamp(unixSeconds: Int($0)))" } ?? state.rawValue,
            timestamp(unixSeconds: Int(createdAt)), expiresAt.map { timestamp(unixSeconds: Int($0)) } ?? "never",
            lastUsedAt.map { timestamp(unixSeconds: Int($0)) } ?? "never",
        ]
    }

    fileprivate var json: JSON {
        .object([
            "digest_prefix": .string(digestPrefix), "label": .string(label), "state": .string(state.rawValue),
            "created_at": .number(createdAt), "expires_at": expiresAt.map(JSON.number) ?? .null,
            "revoked_at": revokedAt.map(JSON.number) ?? .null, "last_used_at": lastUsedAt.map(JSON.number) ?? .null,
        ])
    }
}

extension SessionReport {
    fileprivate var text: String {
        var entries = [(session.createdAt, 0, ["created", "", ""])]
        if !events.contains(where: { $0.event == "completed" }) {
            let name = session.status == .open ? "expires" : session.status.rawValue
            entries.append((session.completedAt ?? session.expiresAt, events.count + 1, [name, "", ""]))
        }
        // Within a second, what ended the session comes before its end, and a refusal after it.
        entries += events.enumerated().map { index, event in
            (event.occurredAt, event.event == "completion_refused" ? events.count + 2 + index : 1 + index, event.entry)
        }
        entries.sort { ($0.0, $0.1) < ($1.0, $1.1) }
        return """
            \(timestamp(unixSeconds: Int(session.createdAt)))  \(session.status.rawValue)
              token digest  \(tokenDigest.hex.prefix(12))
              redirect URL  \(session.redirectURL.text)
              language      \(session.language.rawValue)
              supplier      \(session.link?.identity?.supplier.text ?? "none")
            \(table(entries.map { [timestamp(unixSeconds: Int($0.0))] + $0.2 }, indent: "  "))
            """
    }

    fileprivate var json: JSON {
        .object([
            "token_digest_prefix": .string(String(tokenDigest.hex.prefix(12))),
            "status": .string(session.status.rawValue), "redirect_url": .string(session.redirectURL.text),
            "language": .string(session.language.rawValue), "created_at": .number(session.createdAt),
            "expires_at": .number(session.expiresAt),
            "completed_at": session.completedAt.map(JSON.number) ?? .null,
            "confirmed_at": session.confirmedAt.map(JSON.number) ?? .null,
            "supplier": (session.link?.identity?.supplier.text).map(JSON.string) ?? .null,
            "events": .array(events.map(\.json)),
        ])
    }
}

extension SessionEvent {
    fileprivate var entry: [String] {
        [event.replacing("_", with: " "), reason ?? "", "request \(requestID)"]
    }

    fileprivate var json: JSON {
        .object([
            "event": .string(event), "reason": reason.map(JSON.string) ?? .null, "request_id": .string(requestID),
            "occurred_at": .number(occurredAt),
        ])
    }
}

/// Columns two blanks apart, as wide as their widest entry.
private func table(_ rows: [[String]], indent: String) -> String {
    let widths = (rows.first ?? []).indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
        let cells = zip(row, widths).map { text, width in text + String(repeating: " ", count: width - text.count) }
        let line = indent + cells.joined(separator: "  ")
        return String(line.reversed().drop { $0 == " " }.reversed())
    }.joined(separator: "\n")
}

// MARK: For programs

private indirect enum JSON: Encodable {
    case string(String)
    case number(Int64)
    case bool(Bool)
    case null
    case array([JSON])
    case object([String: JSON])

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .string(let text): try container.encode(text)
        case .number(let number): try container.encode(number)
        case .bool(let bool): try container.encode(bool)
        case .null: try container.encodeNil()
        case .array(let elements): try container.encode(elements)
        case .object(let members): try container.encode(members)
        }
    }
}

private func printJSON(_ value: JSON) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    printAnswer(String(decoding: try encoder.encode(value), as: UTF8.self))
}
