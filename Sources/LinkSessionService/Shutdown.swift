// How serve ends: a delay for load balancers, a grace for requests, and at once on a second signal.

internal import Foundation
internal import HTTPFront
internal import Logging
internal import ServiceLifecycle
internal import UnixSignals

/// Between SIGTERM and the end of listening: a load balancer needs time to notice.
struct ShutdownDelay: Service {
    let readiness: Readiness
    let seconds: Int
    let logger: Logger

    func run() async throws {
        try? await gracefulShutdown()
        readiness.beginShutdown()
        logger.notice("shutting down", metadata: ["delay_seconds": .stringConvertible(seconds)])
        try? await Task.sleep(for: .seconds(seconds))
    }
}

/// Ends the process when the grace is over, or at a second signal: a service group waits for its services for as long as
/// they take, and for one signal only.
func enforceShutdown(grace: Int, _ logger: Logger, _ log: LogOutput) async {
    var isStopping = false
    for await signal in await UnixSignalsSequence(trapping: .sigterm, .sigint) {
        guard !isStopping else { _exit(128 + (signal == .sigint ? SIGINT : SIGTERM)) }
        isStopping = true
        Task {
            try? await Task.sleep(for: .seconds(grace))
            logger.warning(
                "grace is over: closing what is left", metadata: ["grace_seconds": .stringConvertible(grace)])
            log.flush()
            exit(0)
        }
    }
}
