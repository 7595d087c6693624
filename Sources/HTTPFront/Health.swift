internal import HTTPServer
internal import JSON
internal import NIOHTTP1
internal import Synchronization

/// One thing that has to be in order for this replica to be ready.
package struct HealthCheck: Sendable {
    package let name: String
    /// `ok`, `ahead` and `late` are in order, everything else is not.
    package let state: String
    package let cause: String?

    package init(name: String, state: String, cause: String? = nil) {
        self.name = name
        self.state = state
        self.cause = cause
    }

    package var isInOrder: Bool { ["ok", "ahead", "late"].contains(state) }
}

/// Whether this replica should get requests: asked for at most once a second, however many ask.
package actor Readiness {
    private static let lifetime = Duration.seconds(1)

    private let probe: @Sendable () async -> [HealthCheck]
    private let onChange: @Sendable ([HealthCheck]) -> Void
    private let ownChecks: @Sendable () -> [HealthCheck]
    private var wasReady = true
    private let shuttingDown = Atomic<Bool>(false)
    private var latest: (started: ContinuousClock.Instant, checks: Task<[HealthCheck], Never>)?

    /// - Parameters:
    ///   - probe: must end by itself within a second.
    ///   - onChange: told of the checks when their verdict is another than before; first of one that is no.
    ///   - ownChecks: what this replica knows without asking anybody; judged at every question.
    package init(
        probe: @escaping @Sendable () async -> [HealthCheck],
        onChange: @escaping @Sendable ([HealthCheck]) -> Void = { _ in },
        ownChecks: @escaping @Sendable () -> [HealthCheck]
    ) {
        self.probe = probe
        self.onChange = onChange
        self.ownChecks = ownChecks
    }

    /// From now on the answer is no, so that a load balancer drains this replica before it stops listening.
    package nonisolated func beginShutdown() {
        shuttingDown.store(true, ordering: .releasing)
    }

    /// Each check's name, and whether it is in order: asked apart from the answers, which stay as fresh as they are.
    package nonisolated func state() async -> [(check: String, isInOrder: Bool)] {
        let isStopping = shuttingDown.load(ordering: .acquiring)
        return (await probe() + ownChecks()).map { ($0.name, $0.isInOrder) } + [("shutdown", !isStopping)]
    }

    private func checks() async -> [HealthCheck] {
        let now = ContinuousClock.now
        let checks: Task<[HealthCheck], Never>
        if let latest, now - latest.started < Self.lifetime {
            checks = latest.checks
        } else {
            checks = Task { [probe] in await probe() }
            latest = (now, checks)
        }
        var result = await checks.value + ownChecks()
        if shuttingDown.load(ordering: .acquiring) {
            result.append(HealthCheck(name: "shutdown", state: "shutting_down", cause: "this replica is stopping"))
        }
        let isReady = result.allSatisfy(\.isInOrder)
        if isReady != wasReady { onChange(result) }
        wasReady = isReady
        return result
    }

    /// For load balancers, container engines and operators.
    nonisolated func answer() async -> Response {
        let checks = await checks()
        let isReady = checks.allSatisfy(\.isInOrder)
        let body = JSONWriter.object { object in
            object.add("status", isReady ? "ok" : "unavailable")
            object.add("checks") { object in
                for check in checks {
                    object.add(check.name) { object in
                        object.add("state", check.state)
                        if let cause = check.cause { object.add("cause", cause) }
                    }
                }
            }
        }
        var response = Response(json: body, status: isReady ? .ok : .serviceUnavailable)
        if !isReady { response.headers.add(name: "retry-after", value: "1") }
        return response
    }
}
