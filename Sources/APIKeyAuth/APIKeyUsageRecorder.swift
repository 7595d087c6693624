package import LinkSessionRepository
internal import LinkSessions
package import Logging
internal import ServiceLifecycle
internal import Synchronization

/// Records when each key was last used, for the operator's list and off the request's path: collects which keys were
/// used, and has it recorded from time to time. ``run()`` must be running.
package final class APIKeyUsageRecorder: Service {
    private struct State {
        var pending: Set<SHA256Digest> = []
        /// When each key was last handed on to be recorded.
        var noted: [SHA256Digest: ContinuousClock.Instant] = [:]
    }

    /// A key is handed on once in so long; the repository records it at most once in five minutes over all replicas.
    private static let interval = Duration.seconds(60)

    private let repository: ControlPlaneRepository
    private let logger: Logger
    private let state = Mutex(State())

    package init(repository: ControlPlaneRepository, logger: Logger) {
        self.repository = repository
        self.logger = logger
    }

    func note(_ digest: SHA256Digest) {
        let now = ContinuousClock.now
        state.withLock { state in
            guard state.noted[digest].map({ now - $0 >= Self.interval }) ?? true else { return }
            state.noted[digest] = now
            state.pending.insert(digest)
        }
    }

    /// Records what was noted, until graceful shutdown or cancellation; the last second may be lost.
    package func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            while !Task.isCancelled {
                try? await Task.sleep(for: .seconds(1))
                await record()
            }
        }
    }

    private func record() async {
        let digests = state.withLock { state in
            defer { state.pending = [] }
            return Array(state.pending)
        }
        guard !digests.isEmpty else { return }
        do throws(RepositoryError) {
            try await repository.recordUse(of: digests, until: .now + .seconds(1))
        } catch {
            switch error {
            case .unavailable, .nodeUnreachable, .overloaded:
                state.withLock { $0.pending.formUnion(digests) }
                logger.debug("use of API keys not recorded", metadata: ["cause": "\(error)"])
            case .bug(let cause): logger.error("use of API keys not recorded", metadata: ["cause": "\(cause)"])
            }
        }
    }
}
