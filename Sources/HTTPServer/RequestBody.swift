internal import NIOCore
internal import Synchronization

/// The body of a request, which may still be on its way while the request is answered. Collects at most
/// ``maximumSize`` bytes; for one reader.
final class RequestBody: Sendable {
    static let maximumSize = 16 * 1024

    private struct State {
        var bytes = ByteBuffer()
        var failure: RequestBodyError?
        var hasEnded = false
        var deadline: ContinuousClock.Instant?
        var reader: CheckedContinuation<Void, Never>?

        var isSettled: Bool { hasEnded || failure != nil }
    }

    private let state = Mutex(State())

    /// Of a request whose head and body are here: waiting, every query and every re-send share it.
    private static let requestTime = Duration.milliseconds(1500)

    /// Until when the request may take. Fixed once, when it is first asked for: by a handler that has what it needs.
    var deadline: ContinuousClock.Instant {
        state.withLock { state in
            let deadline = state.deadline ?? ContinuousClock.now + Self.requestTime
            state.deadline = deadline
            return deadline
        }
    }

    func restartDeadline() { state.withLock { $0.deadline = nil } }

    func postponeDeadline(by time: Duration) { state.withLock { $0.deadline = $0.deadline.map { $0 + time } } }

    /// All of it, when it is there. The bytes are handed over, so that the buffer they came in can be used again.
    func collect() async throws(RequestBodyError) -> ByteBuffer {
        if !state.withLock({ $0.isSettled }) {
            await withCheckedContinuation { reader in
                let isSettled = state.withLock { state in
                    if !state.isSettled { state.reader = reader }
                    return state.isSettled
                }
                if isSettled { reader.resume() }
            }
        }
        return try state.withLock { (state) throws(RequestBodyError) in
            if let failure = state.failure { throw failure }
            defer { state.bytes = ByteBuffer() }
            return state.bytes
        }
    }

    func append(_ buffer: ByteBuffer) {
        change { state in
            guard state.failure == nil else { return }
            if state.bytes.readableBytes + buffer.readableBytes > Self.maximumSize {
                state.failure = .tooLarge
                state.bytes = ByteBuffer()
            } else if state.bytes.readableBytes == 0 {
                state.bytes = buffer
            } else {
                state.bytes.writeImmutableBuffer(buffer)
            }
        }
    }

    func end() { change { $0.hasEnded = true } }

    func breakOff() { change { $0.failure = $0.failure ?? .brokenOff } }

    private func change(_ body: (inout State) -> Void) {
        let reader = state.withLock { state in
            body(&state)
            return state.isSettled ? state.reader.take() : nil
        }
        reader?.resume()
    }
}
