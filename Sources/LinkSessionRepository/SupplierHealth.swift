package import LinkSessions
package import Logging
internal import ServiceLifecycle
internal import Synchronization

/// Which suppliers' sign-ins keep failing: of at least five that ended in the last ten minutes, over all replicas, half
/// or more. Every four seconds each replica adds what it saw and learns what all saw. ``run()`` must be running.
package final class SupplierHealth: Service {
    package enum Outcome: Sendable {
        case succeeded
        /// By the supplier's fault, and not by what a browser brought: whoever begins sign-ins could make up as many of
        /// those as he likes.
        case failed
        case declined
    }

    private struct Failure: Hashable {
        let supplier: Supplier.Slug
        let session: LinkSessionID
    }

    private struct State {
        var outcomes: [Supplier.Slug: SupplierOutcomes] = [:]
        /// Those that were counted: a session counts once, however often its user tries.
        var failures: Set<Failure> = []
        var failing: Set<Supplier.Slug> = []
    }

    private static let interval = Duration.seconds(4)
    private static let mostFailures = 10_000

    private let repository: SupplierOutcomeRepository
    private let logger: Logger
    private let state = Mutex(State())

    package init(repository: SupplierOutcomeRepository, logger: Logger) {
        self.repository = repository
        self.logger = logger
    }

    /// - Parameter supplier: one that is enabled, so that there are no more counts than suppliers.
    package func note(_ outcome: Outcome, at supplier: Supplier.Slug, in session: LinkSessionID) {
        state.withLock { state in
            switch outcome {
            case .succeeded: state.outcomes[supplier, default: .init()].succeeded += 1
            case .declined: state.outcomes[supplier, default: .init()].declined += 1
            case .failed:
                if state.failures.count >= Self.mostFailures { state.failures.removeAll() }
                guard state.failures.insert(Failure(supplier: supplier, session: session)).inserted else { return }
                state.outcomes[supplier, default: .init()].failed += 1
            }
        }
    }

    package func isFailing(_ supplier: Supplier.Slug) -> Bool { state.withLock { $0.failing.contains(supplier) } }

    /// Exchanges outcomes until graceful shutdown or cancellation. While the database does not answer, what is known
    /// stays.
    package func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            while !Task.isCancelled {
                await exchange()
                try? await Task.sleep(for: Self.interval)
            }
        }
    }

    package func exchange() async {
        let outcomes = state.withLock { state in
            defer { state.outcomes = [:] }
            return state.outcomes
        }
        do throws(RepositoryError) {
            let failing = Set(try await repository.exchange(outcomes, until: .now + .milliseconds(900)))
            let before = state.withLock { state in
                defer { state.failing = failing }
                return state.failing
            }
            for supplier in failing.subtracting(before) {
                logger.warning("sign-ins keep failing", metadata: ["supplier": "\(supplier.text)"])
            }
            for supplier in before.subtracting(failing) {
                logger.notice("sign-ins fail no more", metadata: ["supplier": "\(supplier.text)"])
            }
        } catch {
            state.withLock { state in
                for (supplier, count) in outcomes { state.outcomes[supplier, default: .init()].add(count) }
            }
            switch error {
            case .unavailable, .nodeUnreachable, .overloaded:
                logger.debug("outcomes of sign-ins not shared", metadata: ["cause": "\(error)"])
            case .bug(let cause): logger.error("outcomes of sign-ins not shared", metadata: ["cause": "\(cause)"])
            }
        }
    }
}
