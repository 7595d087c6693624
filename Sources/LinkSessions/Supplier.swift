/// An energy supplier, at which users sign in.
package struct Supplier: Sendable {
    /// What answers and return links call the supplier: 1 to 40 of `a-z`, `0-9` and single inner hyphens.
    package struct Slug: Sendable, Hashable {
        package let text: String

        package init?(_ text: some StringProtocol) {
            let words = text.utf8.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
            guard (1...40).contains(text.utf8.count),
                words.allSatisfy({ word in
                    !word.isEmpty && word.allSatisfy { $0.isASCIILowercase || $0.isASCIIDigit }
                })
            else { return nil }
            self.text = String(text)
        }

        /// The built-in supplier for integrators.
        package static let sandbox = Slug(unchecked: "sandbox")

        private init(unchecked text: String) { self.text = text }
    }

    package enum SignIn: Sendable {
        case openIDConnect(OpenIDClient)
        /// A page of our own with a button for every outcome.
        case sandbox
    }

    package let slug: Slug
    package let name: String
    package let signIn: SignIn
    /// Of the image beside its name.
    package var logo: SHA256Digest?
    /// False while sign-ins there keep failing; whoever wants to may try all the same.
    package var isAvailable = true

    package init(slug: Slug, name: String, signIn: SignIn) {
        self.slug = slug
        self.name = name
        self.signIn = signIn
    }

    package static let sandbox = Supplier(slug: .sandbox, name: "Sandbox Energy", signIn: .sandbox)
}

/// What we are at a supplier's OpenID Connect provider.
package struct OpenIDClient: Sendable, Hashable {
    package let issuer: ProviderURL
    package let clientID: String
    /// The name of the setting that holds the client secret; begins with `SUPPLIER_`.
    package let clientSecretName: String
    /// `openid` among them.
    package let scopes: [String]
    /// `nil`: as the provider's metadata have it.
    package var authentication: ClientAuthentication?
    /// Where the metadata are; `nil`: below the issuer (OpenID Connect Discovery 1.0, section 4).
    package var discoveryURL: ProviderURL?
    /// `nil`: as the metadata allow, best in the query.
    package var responseMode: ResponseMode?
    /// What the first sign-in of a session asks for.
    package var prompt: Prompt?
    /// How many seconds ago its user may have signed in there.
    package var maxAge: Int?

    package init(issuer: ProviderURL, clientID: String, clientSecretName: String, scopes: [String]) {
        self.issuer = issuer
        self.clientID = clientID
        self.clientSecretName = clientSecretName
        self.scopes = scopes
    }

    /// How the client secret is sent to the token endpoint (OpenID Connect Core 1.0, section 9).
    package enum ClientAuthentication: String, Sendable, CaseIterable {
        /// In `Authorization`, id and secret form-encoded (RFC 6749, section 2.3.1).
        case basic = "client_secret_basic"
        /// The same with id and secret as they are, for providers that do not decode them.
        case unencodedBasic = "client_secret_basic_unencoded"
        /// In the body.
        case post = "client_secret_post"
    }

    /// How a provider's answer comes (OAuth 2.0 Multiple Response Types, section 2.1; Form Post Response Mode).
    package enum ResponseMode: String, Sendable, CaseIterable {
        case query
        case formPost = "form_post"
    }

    /// OpenID Connect Core 1.0, section 3.1.2.1. Neither `none`, with which nobody can sign in, nor `consent`, which
    /// changes no account.
    package enum Prompt: String, Sendable, CaseIterable {
        case login
        case selectAccount = "select_account"
    }

    package static func isMaxAge(_ seconds: Int) -> Bool { (0...31_536_000).contains(seconds) }

    package static func isClientID(_ text: String) -> Bool {
        (1...255).contains(text.utf8.count) && text.utf8.allSatisfy(\.isVisibleASCII)
    }

    /// Only what is meant for a supplier may be sent to one: no other secret's name begins so.
    package static func isSecretName(_ text: String) -> Bool {
        let prefix = "SUPPLIER_"
        return text.hasPrefix(prefix) && (1...100).contains(text.utf8.count - prefix.utf8.count)
            && text.utf8.allSatisfy { $0.isASCIIUppercase || $0.isASCIIDigit || $0 == UInt8(ascii: "_") }
    }

    /// RFC 6749, section 3.3.
    package static func isScope(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { $0.isVisibleASCII && !"\"\\".utf8.contains($0) }
    }
}

/// A URL of an OpenID Connect provider: `https`, or `http` on this machine; without fragment.
package struct ProviderURL: Sendable, Hashable {
    /// As the provider writes it.
    package let text: String

    package init?(_ text: String) {
        guard let url = try? RedirectURL(text), url.isWeb else { return nil }
        self.text = text
    }

    /// Without encryption, which only this machine may speak with itself.
    package var isLoopback: Bool { text.lowercased().hasPrefix("http:") }

    package var hasQuery: Bool { text.contains("?") }
}

/// Who a user is at a supplier.
///
/// Personal data: it is kept in the database, and appears in no log and no error.
package struct SupplierIdentity: Sendable, Equatable, Redacted {
    package let supplier: Supplier.Slug
    /// The supplier's id of its user: the subject of its ID tokens (OpenID Connect Core 1.0, section 2).
    package let userID: String

    /// `nil` unless the id is 1 to 255 Unicode scalars without control characters.
    package init?(supplier: Supplier.Slug, userID: String) {
        let scalars = userID.unicodeScalars
        guard (1...255).contains(scalars.count), scalars.allSatisfy({ $0.properties.generalCategory != .control })
        else { return nil }
        self.supplier = supplier
        self.userID = userID
    }

    /// Byte for byte.
    package static func == (left: Self, right: Self) -> Bool {
        left.supplier == right.supplier && left.userID.utf8.elementsEqual(right.userID.utf8)
    }
}
