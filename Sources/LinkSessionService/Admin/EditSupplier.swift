internal import ArgumentParser
internal import LinkSessionRepository
internal import LinkSessions

struct EditSupplier: ChangeCommand {
    static let configuration = CommandConfiguration(
        abstract: "Change a supplier, or what we are at its provider; what is not named stays.",
        discussion: """
            With another issuer or client id its users have to keep their subjects: by those they are known. Where the \
            secret's name changes, set the secret in the environment of every replica first. With --apply the provider \
            is asked before.
            """)

    @Argument(help: "The supplier's slug, which never changes.") var slug: String
    @Option(help: "As its users know it; unique.") var name: String?
    @Option(help: "The provider's issuer, byte for byte as its metadata has it.") var issuer: String?
    @Option(help: "Our client id there.") var clientID: String?
    @Option(help: "The setting that holds our client secret there.") var clientSecretName: String?
    @Option(help: "Space-separated; openid is always among them.") var scopes: String?
    @OptionGroup var providerOptions: ProviderOptions
    @OptionGroup var provider: ProviderCheckOptions
    @OptionGroup var migration: ChangeOptions

    private func edit() throws -> SupplierEdit {
        var edit = SupplierEdit()
        edit.name = try name.map { try DisplayText($0, for: "--name") }
        edit.issuer = try issuer.map { try ProviderURL(issuer: $0) }
        edit.clientID = try clientID.map(OpenIDClient.clientID(argument:))
        edit.clientSecretName = try clientSecretName.map(OpenIDClient.secretName(argument:))
        edit.scopes = try scopes.map(OpenIDClient.scopes(argument:))
        try providerOptions.set(on: &edit)
        return edit
    }

    func change() throws -> AdminChange { try .editSupplier(try Supplier.Slug(argument: slug), try edit()) }

    func check(_ settings: Settings) async throws {
        let repository = AdminRepository(address: try settings.operatorAddress)
        let before = try await repository.client(of: try Supplier.Slug(argument: slug)).client
        let after = try edit().applied(to: before)
        if let url = after.discoveryURL, url.isLoopback, !after.issuer.isLoopback {
            throw ProviderOptions.discoveryURLError
        }
        // A new name alone changes nothing at the provider.
        if after != before { try await provider.check(after, settings) }
    }
}
