internal import ArgumentParser
internal import LinkSessionRepository
internal import LinkSessions

struct ListManufacturers: ReportCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List all manufacturers with their redirect URLs and keys.")

    @OptionGroup var options: ReportOptions

    func report(from repository: AdminRepository) async throws -> Report {
        Report("manufacturers", try await repository.manufacturers().map(\.report))
    }
}

struct ListSuppliers: ReportCommand {
    static let configuration = CommandConfiguration(
        abstract: "List all energy suppliers with what we are at their providers.")

    @OptionGroup var options: ReportOptions

    func report(from repository: AdminRepository) async throws -> Report {
        Report("suppliers", try await repository.suppliers().map(\.report))
    }
}

extension ManufacturerReport {
    fileprivate var report: Report {
        let redirects =
            if isUnrestricted {
                ["ANY URL: UNRESTRICTED"]
            } else {
                redirectURLs.isEmpty ? ["none: it can send its users nowhere"] : redirectURLs.map(DisplayText.escaped)
            }
        return Report(
            text: """
                \(DisplayText.escaped(name))\(isEnabled ? "" : " (DISABLED: none of its keys works)")
                  brand      \(brand.map(DisplayText.escaped) ?? "none")
                  audience   \(id.audience)
                  created    \(timestamp(unixSeconds: createdAt))
                  redirects  \(redirects.joined(separator: "\n             "))
                \(keys.isEmpty ? "  no keys" : table([KeyReport.columns] + keys.map(\.row)))
                """,
            json: [
                "name": name, "brand": brand, "audience": id.audience, "enabled": isEnabled,
                "redirect_policy": isUnrestricted ? "unrestricted" : "registered", "redirect_urls": redirectURLs,
                "created_at": createdAt, "keys": keys.map(\.json),
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
            revokedAt.map { "revoked \(timestamp(unixSeconds: $0))" } ?? state, timestamp(unixSeconds: createdAt),
            expiresAt.map(timestamp) ?? "never", lastUsedAt.map(timestamp) ?? "never",
        ]
    }

    fileprivate var json: JSONMembers {
        [
            "digest_prefix": digestPrefix, "label": label, "state": state, "created_at": createdAt,
            "expires_at": expiresAt, "revoked_at": revokedAt, "last_used_at": lastUsedAt,
        ]
    }
}

extension SupplierReport {
    fileprivate var report: Report {
        Report(
            text: """
                \(slug)\(isEnabled ? "" : " (DISABLED: nobody can sign in)")
                  name       \(DisplayText.escaped(name))
                  issuer     \(DisplayText.escaped(issuer))
                  client id  \(DisplayText.escaped(clientID))
                  secret in  \(clientSecretName)
                  scopes     \(DisplayText.escaped(scopes.joined(separator: " ")))
                  created    \(timestamp(unixSeconds: createdAt))
                """,
            json: [
                "slug": slug, "name": name, "enabled": isEnabled, "issuer": issuer, "client_id": clientID,
                "client_secret_name": clientSecretName, "scopes": scopes, "created_at": createdAt,
            ])
    }
}
