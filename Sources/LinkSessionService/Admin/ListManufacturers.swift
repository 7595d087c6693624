// admin list

internal import ArgumentParser
internal import LinkSessionRepository
internal import LinkSessions

struct ListManufacturers: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List all manufacturers with their redirect URLs and keys.")

    @OptionGroup var report: ReportOptions

    func run() async throws {
        try await reportingFailures {
            let manufacturers = try await report.repository().manufacturers()
            if report.json {
                try printJSON(.object(["manufacturers": .array(manufacturers.map(\.json))]))
            } else if manufacturers.isEmpty {
                printToStandardOutput("no manufacturers")
            } else {
                printToStandardOutput(manufacturers.map(\.text).joined(separator: "\n\n"))
            }
        }
    }
}

extension ManufacturerReport {
    var text: String {
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

    var json: JSONValue {
        .object([
            "name": .string(name), "brand": brand.map(JSONValue.string) ?? .null, "audience": .string(id.audience),
            "enabled": .bool(isEnabled),
            "redirect_policy": .string(isUnrestricted ? "unrestricted" : "registered"),
            "redirect_urls": .array(redirectURLs.map(JSONValue.string)), "created_at": .number(createdAt),
            "keys": .array(keys.map(\.json)),
        ])
    }
}

extension KeyReport {
    static let columns = ["KEY", "LABEL", "STATE", "CREATED", "EXPIRES", "LAST USED"]

    /// Enough to tell a manufacturer's keys apart, and of no use to anybody else.
    private var digestPrefix: String { String(digest.hex.prefix(12)) }

    var row: [String] {
        [
            digestPrefix, DisplayText.escaped(label),
            revokedAt.map { "revoked \(timestamp(unixSeconds: Int($0)))" } ?? state.rawValue,
            timestamp(unixSeconds: Int(createdAt)), expiresAt.map { timestamp(unixSeconds: Int($0)) } ?? "never",
            lastUsedAt.map { timestamp(unixSeconds: Int($0)) } ?? "never",
        ]
    }

    var json: JSONValue {
        .object([
            "digest_prefix": .string(digestPrefix), "label": .string(label), "state": .string(state.rawValue),
            "created_at": .number(createdAt), "expires_at": expiresAt.map(JSONValue.number) ?? .null,
            "revoked_at": revokedAt.map(JSONValue.number) ?? .null,
            "last_used_at": lastUsedAt.map(JSONValue.number) ?? .null,
        ])
    }
}
