package import LinkSessionRepository
package import LinkSessions
package import RateLimits
internal import TokenGenerator

/// A manufacturer's backend, known by its key.
package struct ManufacturerCaller: Sendable {
    package let manufacturer: Manufacturer
    package let redirectPolicy: RedirectPolicy
    /// Of creates; `nil` where it has none of its own.
    package let createLimit: RateLimit?
}

package enum AuthenticationError: Error, Sendable, Equatable {
    /// Missing, malformed, unknown, expired or revoked, or of a disabled manufacturer: nobody is told which.
    case unauthorized
    /// The keys could not be confirmed with the database for too long to be trusted.
    case unavailable
}

/// From an API key to who is calling. A key costs no query, known or not.
package struct APIKeyAuthenticator: Sendable {
    private let controlPlane: ControlPlaneCache
    private let environment: APIKey.Environment
    private let authenticatorKeys: [AuthenticatorKey]
    private let uses: APIKeyUsageRecorder
    package let limits: ManufacturerLimits

    /// - Parameters:
    ///   - environment: keys of another one are unknown.
    ///   - authenticatorKeys: several, so that they can be rotated.
    ///   - uses: told of every key that is used.
    ///   - limits: of those whose keys they are.
    package init(
        controlPlane: ControlPlaneCache, environment: APIKey.Environment, authenticatorKeys: [AuthenticatorKey],
        uses: APIKeyUsageRecorder, limits: ManufacturerLimits
    ) {
        self.controlPlane = controlPlane
        self.environment = environment
        self.authenticatorKeys = authenticatorKeys
        self.uses = uses
        self.limits = limits
    }

    /// Whose key it is.
    package func manufacturer(forKey key: String) throws(AuthenticationError) -> ManufacturerCaller {
        guard APIKey.isWellFormed(key, in: environment) else { throw .unauthorized }
        let digest = try digest(of: key)
        guard let (plane, databaseTime) = try? controlPlane.current() else { throw .unavailable }
        guard let key = plane.keys[digest], key.expiresAt.map({ $0 > databaseTime }) ?? true,
            let entry = plane.manufacturers[key.manufacturer], entry.isEnabled
        else { throw .unauthorized }
        uses.note(digest)
        return ManufacturerCaller(
            manufacturer: entry.manufacturer, redirectPolicy: entry.redirectPolicy, createLimit: entry.createLimit)
    }

    /// The name of the Authenticator's key that it is. Its form is the Authenticator's own affair.
    package func authenticator(forKey key: String) throws(AuthenticationError) -> String {
        let digest = try digest(of: key)
        // All are compared, each in constant time: the time taken tells nothing about which was near.
        guard let match = authenticatorKeys.filter({ $0.digest == digest }).first else { throw .unauthorized }
        return match.name
    }

    /// Whether the text is a key that somebody could use now: such text must not be repeated anywhere.
    package func isUsable(key: String) -> Bool {
        guard let digest = try? digest(of: key) else { return false }
        if authenticatorKeys.contains(where: { $0.digest == digest }) { return true }
        guard APIKey.isWellFormed(key, in: environment), let plane = controlPlane.latest, let key = plane.keys[digest]
        else { return false }
        return plane.manufacturers[key.manufacturer]?.isEnabled ?? false
    }

    private func digest(of key: String) throws(AuthenticationError) -> SHA256Digest {
        guard let digest = try? SHA256.digest(of: key) else { throw .unavailable }
        return digest
    }
}
