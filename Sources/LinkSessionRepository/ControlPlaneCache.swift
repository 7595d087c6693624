package import LinkSessions
package import Logging
internal import ServiceLifecycle
internal import Synchronization

/// This replica's own copy of the control plane: what a request needs of it costs no query.
///
/// The copy is compared with the database's version number every 250 ms and loaded anew when that changed, so that a
/// change is in force everywhere within a second of its commit; a copy that was not confirmed for a second answers
/// nothing. ``run()`` must be running.
package final class ControlPlaneCache: Service {
    private struct Copy {
        let version: Int64
        let controlPlane: ControlPlane
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

    private let repository: ControlPlaneRepository
    private let hasSandbox: Bool
    private let isFailing: @Sendable (Supplier.Slug) -> Bool
    private let logger: Logger
    private let copy = Mutex<Copy?>(nil)

    /// - Parameters:
    ///   - hasSandbox: the built-in supplier for integrators is one of the suppliers.
    ///   - isFailing: whether sign-ins at a supplier keep failing.
    package init(
        repository: ControlPlaneRepository, hasSandbox: Bool,
        isFailing: @escaping @Sendable (Supplier.Slug) -> Bool = { _ in false }, logger: Logger
    ) {
        self.repository = repository
        self.hasSandbox = hasSandbox
        self.isFailing = isFailing
        self.logger = logger
    }

    /// The copy, and the database's time in Unix microseconds.
    package func current() throws(RepositoryError) -> (controlPlane: ControlPlane, databaseTime: Int64) {
        let now = ContinuousClock.now
        guard let copy = copy.withLock({ $0 }), now - copy.confirmed < Self.trust else {
            throw .unavailable(cause: "the control plane was not confirmed within a second")
        }
        return (copy.controlPlane, copy.clockOffset + Self.microseconds(now))
    }

    /// What was copied last, however old it is.
    package var latest: ControlPlane? { copy.withLock { $0?.controlPlane } }

    /// The manufacturer of a session; it is in every copy that is as new as the session.
    package func manufacturer(_ id: Manufacturer.ID) throws(RepositoryError) -> ControlPlane.ManufacturerEntry {
        guard let entry = try current().controlPlane.manufacturers[id] else {
            throw .unavailable(cause: "the session's manufacturer has not come to this replica yet")
        }
        return entry
    }

    /// Those that are enabled, by name.
    package func suppliers() throws(RepositoryError) -> [Supplier] {
        var suppliers = try current().controlPlane.suppliers + (hasSandbox ? [.sandbox] : [])
        for index in suppliers.indices { suppliers[index].isAvailable = !isFailing(suppliers[index].slug) }
        return suppliers
    }

    /// How long ago the copy was confirmed; `nil` where there is none yet.
    package var age: Duration? { copy.withLock { $0.map { ContinuousClock.now - $0.confirmed } } }

    /// Whether the copy can be trusted at the moment.
    package var isFresh: Bool { (try? current()) != nil }

    /// Returns when the copy can be trusted, at the latest after `time`.
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
            let offset = version.databaseTime - Self.microseconds(.now)
            let isCurrent = copy.withLock { copy in
                guard copy?.version == version.number else { return false }
                copy?.confirmed = asked
                copy?.clockOffset = offset
                return true
            }
            if !isCurrent { try await load(version.number, asked, clockOffset: offset) }
            return true
        } catch {
            switch error {
            case .unavailable, .nodeUnreachable, .overloaded:
                logger.debug("control plane not refreshed", metadata: ["cause": "\(error)"])
            case .bug(let cause): logger.error("control plane not refreshed", metadata: ["cause": "\(cause)"])
            }
            return false
        }
    }

    private func load(
        _ version: Int64, _ asked: ContinuousClock.Instant, clockOffset: Int64
    ) async throws(RepositoryError) {
        let new = try await repository.load(until: asked + Self.queryTime)
        copy.withLock {
            $0 = Copy(version: version, controlPlane: new, clockOffset: clockOffset, confirmed: asked)
        }
        logger.info(
            "control plane loaded",
            metadata: [
                "keys": "\(new.keys.count)", "manufacturers": "\(new.manufacturers.count)",
                "suppliers": "\(new.suppliers.count)", "version": "\(version)",
            ])
        for entry in new.manufacturers.values where entry.invalidRedirectURLs > 0 {
            logger.warning(
                "a registered redirect URL is no valid redirect URL and allows nothing",
                metadata: ["manufacturer": "\(entry.manufacturer.id.number)"])
        }
    }

    private static func microseconds(_ instant: ContinuousClock.Instant) -> Int64 {
        Int64((instant - start) / .microseconds(1))
    }
}
