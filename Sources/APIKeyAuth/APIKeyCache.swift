package import LinkSessionRepository
package import LinkSessions
package import Logging
internal import ServiceLifecycle
internal import Synchronization
internal import TokenGenerator

/// A manufacturer's backend, known by its key.
package struct ManufacturerCaller: Sendable {
    package let manufacturer: Manufacturer
    package let redirectPolicy: RedirectPolicy
}

package enum AuthenticationError: Error, Sendable, Equatable {
    /// Missing, malformed, unknown, expired or revoked, or of a disabled manufacturer: nobody is told which.
    case unauthorized
    /// The keys could not be confirmed with the database for too long to be trusted.
    case unavailable
}

/// From an API key to who is calling: this replica's own copy of all usable keys.
///
/// A key costs no query, known or not. The copy is compared with the database's version number every 250 ms and
/// loaded anew when that changed, so that a change is in force everywhere within a second of its commit; a copy that
/// was not confirmed for a second answers nothing. ``run()`` must be running.
package final class APIKeyCache: Service {
    private struct Copy {
        var version: Int64
        var keys: [SHA256Digest: UsableAPIKey]
        /// The database's clock less this machine's monotonic one, in microseconds.
        var clockOffset: Int64
        /// When the question was asked whose answer confirmed the copy.
        var confirmed: ContinuousClock.Instant
    }

    private static let refreshInterval = Duration.milliseconds(250)
    private static let retryInterval = Duration.milliseconds(50)
    private static let queryTime = Duration.milliseconds(700)
    private static let trust = Duration.seconds(1)
    private static let start = ContinuousClock.now

    private let repository: APIKeyRepository
    private let environment: APIKey.Environment
    private let authenticatorDigests: [SHA256Digest]
    private let uses: APIKeyUsageRecorder
    private let logger: Logger
    private let copy = Mutex<Copy?>(nil)

    /// - Parameters:
    ///   - environment: keys of another one are unknown.
    ///   - authenticatorDigests: of the Authenticator's keys; several, so that they can be rotated.
    ///   - uses: told of every key that is used.
    package init(
        repository: APIKeyRepository, environment: APIKey.Environment, authenticatorDigests: [SHA256Digest],
        uses: APIKeyUsageRecorder, logger: Logger
    ) {
        self.repository = repository
        self.environment = environment
        self.authenticatorDigests = authenticatorDigests
        self.uses = uses
        self.logger = logger
    }

    /// Whose key it is.
    package func manufacturer(forKey key: String) throws(AuthenticationError) -> ManufacturerCaller {
        guard let digest = try digest(ofKey: key) else { throw .unauthorized }
        let now = ContinuousClock.now
        let (found, databaseTime) = try copy.withLock { copy throws(AuthenticationError) in
            guard let copy, now - copy.confirmed < Self.trust else { throw .unavailable }
            return (copy.keys[digest], copy.clockOffset + Self.microseconds(now))
        }
        guard let found, found.expiresAt.map({ $0 > databaseTime }) ?? true else { throw .unauthorized }
        uses.note(digest)
        return ManufacturerCaller(manufacturer: found.manufacturer, redirectPolicy: found.redirectPolicy)
    }

    /// Throws unless it is one of the Authenticator's keys.
    package func checkAuthenticator(key: String) throws(AuthenticationError) {
        guard let digest = try digest(ofKey: key) else { throw .unauthorized }
        // All are compared, each in constant time: the time taken tells nothing about which was near.
        let matches = authenticatorDigests.count { $0 == digest }
        guard matches > 0 else { throw .unauthorized }
    }

    /// Whether the text is a key that somebody could use now: such text must not be repeated anywhere.
    package func isUsable(key: String) -> Bool {
        guard let digest = try? digest(ofKey: key) else { return false }
        return authenticatorDigests.contains(digest) || copy.withLock { $0?.keys[digest] != nil }
    }

    /// Whether keys can be judged at the moment.
    package var isFresh: Bool {
        copy.withLock { copy in copy.map { ContinuousClock.now - $0.confirmed < Self.trust } ?? false }
    }

    /// Returns when keys can be judged, at the latest after `time`.
    package func waitUntilFresh(for time: Duration) async {
        let end = ContinuousClock.now + time
        while !isFresh, ContinuousClock.now < end, !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(5))
        }
    }

    /// Keeps the copy fresh until graceful shutdown or cancellation.
    package func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            while !Task.isCancelled {
                let pause = await refresh() ? Self.refreshInterval : Self.retryInterval
                try? await Task.sleep(for: pause)
            }
        }
    }

    /// False where the database did not answer.
    private func refresh() async -> Bool {
        let asked = ContinuousClock.now
        do throws(RepositoryError) {
            let version = try await repository.version(until: asked + Self.queryTime)
            let isCurrent = copy.withLock { copy in
                guard copy?.version == version.number else { return false }
                copy?.confirmed = asked
                copy?.clockOffset = version.databaseTime - Self.microseconds(.now)
                return true
            }
            if !isCurrent { try await load() }
            return true
        } catch {
            switch error {
            case .unavailable, .overloaded: logger.debug("API keys not refreshed", metadata: ["cause": "\(error)"])
            case .bug(let cause): logger.error("API keys not refreshed", metadata: ["cause": "\(cause)"])
            }
            return false
        }
    }

    private func load() async throws(RepositoryError) {
        let asked = ContinuousClock.now
        let (version, keys) = try await repository.usableKeys(until: asked + Self.queryTime)
        let new = Copy(
            version: version.number, keys: Dictionary(keys.map { ($0.digest, $0) }, uniquingKeysWith: { $1 }),
            clockOffset: version.databaseTime - Self.microseconds(.now), confirmed: asked)
        copy.withLock { $0 = new }
        logger.info("API keys loaded", metadata: ["keys": "\(keys.count)", "version": "\(version.number)"])
        for manufacturer in Set(keys.filter { $0.invalidRedirectURLs > 0 }.map(\.manufacturer.id)) {
            logger.warning(
                "a registered redirect URL is no valid redirect URL and allows nothing",
                metadata: ["manufacturer": "\(manufacturer.number)"])
        }
    }

    private static func microseconds(_ instant: ContinuousClock.Instant) -> Int64 {
        let (seconds, attoseconds) = (instant - start).components
        return seconds * 1_000_000 + attoseconds / 1_000_000_000_000
    }

    /// `nil` for what cannot be a key.
    private func digest(ofKey key: String) throws(AuthenticationError) -> SHA256Digest? {
        guard APIKey.isWellFormed(key, in: environment) else { return nil }
        guard let digest = try? SHA256.digest(of: key) else { throw .unavailable }
        return digest
    }
}
