internal import NIOCore
internal import Synchronization

/// Answers each request on the event loop of its connection, so that it changes threads for the database only. The handlers neither block nor compute for long, so the loop can run them itself.
///
/// Those that become ready together, as the callers of one INSERT do, wake the loop once.
final class EventLoopTaskExecutor: TaskExecutor {
    let eventLoop: any EventLoop
    private let ready = Mutex<[UnownedJob]>([])

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let isFirst = ready.withLock { ready in
            ready.append(job)
            return ready.count == 1
        }
        if isFirst { eventLoop.execute { self.runReady() } }
    }

    private func runReady() {
        let jobs = ready.withLock { ready in
            let jobs = ready
            ready = []
            ready.reserveCapacity(jobs.count)
            return jobs
        }
        for job in jobs { job.runSynchronously(on: asUnownedTaskExecutor()) }
    }
}
