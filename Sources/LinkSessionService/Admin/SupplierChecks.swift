internal import ArgumentParser
internal import AuthenticatorUI
internal import Foundation
internal import LinkSessionRepository
internal import LinkSessions
internal import OutboundHTTP

struct CheckSupplier: Command {
    static let configuration = CommandConfiguration(
        abstract: "Ask a supplier's provider whether users could sign in there.",
        discussion: """
            Its metadata, the issuer byte for byte, its endpoints and keys, and whether it lists what is asked of it. \
            Nobody signs in, and the client secret is not sent: whether it is right, the first sign-in tells. Exits 3 \
            where something is not in order; what is only doubtful is a warning.
            """)

    @Argument(help: "The supplier's slug.") var slug: String

    func perform() async throws {
        let slug = try Supplier.Slug(argument: slug)
        let settings = try await Settings()
        let (client, isEnabled) = try await AdminRepository(address: try settings.operatorAddress).client(of: slug)
        let check = try await ProviderCheck(of: client, settings)
        let findings = check.findings + [try .secret(of: client), .enabled(isEnabled)]
        print(table(findings.map { [$0.grade.rawValue, $0.subject, $0.text] }))
        guard findings.allSatisfy({ $0.grade != .problem }) else {
            throw CommandError("\(slug.text) is not in order", exitCode: 3)
        }
    }
}

extension ProviderCheck {
    /// From this machine; in production at public addresses alone, as the service asks.
    init(of client: OpenIDClient, _ settings: Settings) async throws {
        self = await ProviderCheck(
            of: client, through: try OutboundHTTPClient(to: settings.isProduction ? .only : .orAny))
    }
}

extension ProviderCheck.Finding {
    /// Every replica needs the secret: this tells of the command's own environment alone.
    fileprivate static func secret(of client: OpenIDClient) throws -> ProviderCheck.Finding {
        let isSet = try hasSecret(client.clientSecretName)
        return ProviderCheck.Finding(
            grade: isSet ? .ok : .warning, subject: "secret",
            text: client.clientSecretName + (isSet ? "" : " is not set in the environment of this command"))
    }

    fileprivate static func enabled(_ isEnabled: Bool) -> ProviderCheck.Finding {
        ProviderCheck.Finding(
            grade: isEnabled ? .ok : .warning, subject: "enabled", text: isEnabled ? "yes" : "no: nobody can sign in")
    }
}

/// Whether the environment of this command has a supplier's client secret.
func hasSecret(_ name: String) throws(CommandError) -> Bool {
    try supplierSecrets(in: ProcessInfo.processInfo.environment)[name] != nil
}

/// For changes that are applied only where the provider is as they say.
struct ProviderCheckOptions: ParsableArguments {
    @Flag(help: "With --apply: do not ask the provider first.") var unchecked = false

    /// Fails with what is not in order.
    func check(_ client: OpenIDClient, _ settings: Settings) async throws {
        guard !unchecked else { return }
        let check = try await ProviderCheck(of: client, settings)
        let problems = check.findings.filter { $0.grade == .problem }.map { "\($0.subject): \($0.text)" }
        guard problems.isEmpty else {
            throw CommandError(
                "the provider is not in order: \(problems.joined(separator: "; ")); nothing was changed (--unchecked "
                    + "applies it all the same)")
        }
        for finding in check.findings where finding.grade == .warning {
            printToStandardError("link-session-service: warning: \(finding.subject): \(finding.text)")
        }
    }
}
