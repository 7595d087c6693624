// admin list-suppliers

internal import ArgumentParser
internal import LinkSessionRepository
internal import LinkSessions

struct ListSuppliers: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List all energy suppliers with what we are at their providers.")

    @OptionGroup var report: ReportOptions

    func run() async throws {
        try await reportingFailures {
            let suppliers = try await report.repository().suppliers()
            if report.json {
                try printJSON(.object(["suppliers": .array(suppliers.map(\.json))]))
            } else if suppliers.isEmpty {
                printToStandardOutput("no suppliers")
            } else {
                printToStandardOutput(suppliers.map(\.text).joined(separator: "\n\n"))
            }
        }
    }
}

extension SupplierReport {
    var text: String {
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

    var json: JSONValue {
        .object([
            "slug": .string(slug), "name": .string(name), "enabled": .bool(isEnabled), "issuer": .string(issuer),
            "client_id": .string(clientID), "client_secret_name": .string(clientSecretName),
            "scopes": .array(scopes.map(JSONValue.string)), "created_at": .number(createdAt),
        ])
    }
}
