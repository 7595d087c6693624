internal import NIOCore
internal import RateLimits
internal import Synchronization

/// How many connections there may be, and what they may hold.
///
/// A connection has a place, and more of them while its unanswered requests are large: so both connections and memory
/// have one bound. When all places are taken, those that only wait for their clients are closed for others, the longest
/// waiting first: before all others those that never sent a whole request, whoever holds many of them, then those whose
/// refusal is held back, and last those whose callers have a usable key. Only while all are at work a further one is
/// refused.
final class ConnectionPlaces: Sendable {
    final class Place: Sendable {
        let isTooMany: Bool
        fileprivate let id: Int
        private let places: ConnectionPlaces
        private let close: Mutex<(@Sendable () -> Void)?> = Mutex(nil)
        private let onDisconnect: Mutex<(@Sendable () -> Void)?> = Mutex(nil)
        /// Uptime in nanoseconds; 0 while the connection is at work.
        private let waitsForClientSince: Atomic<UInt64>
        private let hasReceivedRequest = Atomic<Bool>(false)
        /// Since when a refusal is held back, as above.
        private let heldBackSince = Atomic<UInt64>(0)
        private let hasUsableKey = Atomic<Bool>(false)
        /// How many places the connection takes.
        private let takes = Atomic<Int>(1)

        fileprivate var size: Int { takes.load(ordering: .relaxed) }

        fileprivate init(_ places: ConnectionPlaces, id: Int, isTooMany: Bool, now: NIODeadline) {
            self.places = places
            self.id = id
            self.isTooMany = isTooMany
            waitsForClientSince = Atomic(now.uptimeNanoseconds)
        }

        /// - Parameter close: closes the connection if it still waits for its client, else calls ``stay()``; called on
        ///   any thread.
        func occupy(close: @escaping @Sendable () -> Void) { self.close.withLock { $0 = close } }

        /// - Parameter action: called once when the client ends its side of the connection; `nil`: nothing is.
        func onDisconnect(_ action: (@Sendable () -> Void)?) { onDisconnect.withLock { $0 = action } }

        func disconnect() { onDisconnect.withLock { $0.take() }?() }

        func leave() {
            disconnect()
            close.withLock { $0 = nil }
            places.state.withLock { state in
                if state.counts(self) { state.used -= size }
                state.taken[id] = nil
                state.leaving.remove(id)
            }
        }

        /// The connection that was to make room was at work again.
        func stay() {
            places.state.withLock { state in
                if state.leaving.remove(id) != nil { state.used += size }
            }
        }

        func note(waitsForClientSince since: NIODeadline?, hasReceivedRequest: Bool) {
            waitsForClientSince.store(since?.uptimeNanoseconds ?? 0, ordering: .relaxed)
            self.hasReceivedRequest.store(hasReceivedRequest, ordering: .relaxed)
        }

        /// What the latest request told of its caller.
        func note(hasUsableKey: Bool) { self.hasUsableKey.store(hasUsableKey, ordering: .relaxed) }

        var isHeldBack: Bool { heldBackSince.load(ordering: .relaxed) != 0 }

        /// Waits before a refusal is answered; meanwhile the connection can make room for others.
        func holdBack(for delay: RefusalDelay) async {
            heldBackSince.store(NIODeadline.now().uptimeNanoseconds, ordering: .relaxed)
            await delay.wait()
            heldBackSince.store(0, ordering: .relaxed)
        }

        /// The connection is to hold so many bytes.
        ///
        /// - Returns: whether there is room for them; for fewer than before there always is.
        @discardableResult
        func hold(_ bytes: Int, now: @autoclosure () -> NIODeadline) -> Bool {
            let wanted = places.size(of: bytes)
            if wanted == size { return true }
            let (fits, leaving) = places.state.withLock { state in
                let further = wanted - size
                var leaving: [Place] = []
                // One that was asked to close does, or stays, and is counted then.
                if state.counts(self) {
                    if further > 0 {
                        leaving = state.makeRoom(for: further, of: places.limit, not: id, now: now())
                        guard state.used + further <= places.limit else { return (false, leaving) }
                    }
                    state.used += further
                }
                takes.store(wanted, ordering: .relaxed)
                return (true, leaving)
            }
            for place in leaving { place.makeRoom() }
            return fits
        }

        /// Those that come first make room first; `nil` while the connection is at work.
        fileprivate func order(now: NIODeadline) -> (group: Int, since: UInt64)? {
            let heldBackSince = heldBackSince.load(ordering: .relaxed)
            if heldBackSince != 0 { return (1, heldBackSince) }
            let since = waitsForClientSince.load(ordering: .relaxed)
            guard since != 0, since <= now.uptimeNanoseconds else { return nil }
            guard hasReceivedRequest.load(ordering: .relaxed) else { return (0, since) }
            return (hasUsableKey.load(ordering: .relaxed) ? 3 : 2, since)
        }

        fileprivate func makeRoom() { close.withLock { $0 }?() }
    }

    private struct State {
        var taken: [Int: Place] = [:]
        /// Were asked to close, and count no more.
        var leaving: Set<Int> = []
        var lastID = 0
        /// The sizes of those that count.
        var used = 0

        func counts(_ place: Place) -> Bool { taken[place.id] != nil && !leaving.contains(place.id) }

        /// - Returns: those that are to make room, so that `wanted` more places are free, if there are so many.
        mutating func makeRoom(for wanted: Int, of limit: Int, not id: Int, now: NIODeadline) -> [Place] {
            guard used + wanted > limit else { return [] }
            // A look at all of them makes room for many, so that a flood pays for few looks.
            let needed = max(used + wanted - limit, limit / 20)
            let candidates = taken.values.compactMap { place in
                place.id == id || leaving.contains(place.id)
                    ? nil : place.order(now: now).map { (order: $0, place: place) }
            }.sorted { $0.order < $1.order }
            var made = 0
            var leave: [Place] = []
            for (_, place) in candidates where made < needed {
                made += place.size
                leaving.insert(place.id)
                leave.append(place)
            }
            used -= made
            return leave
        }
    }

    /// What all requests that are not answered yet may take of memory, in bytes that were received; parsed, they take up
    /// to four times as much.
    static let bytes = 10 * 1024 * 1024

    let limit: Int
    private let state = Mutex(State())

    init(limit: Int) { self.limit = limit }

    /// How many connections there are, and how many places they take.
    var taken: (connections: Int, places: Int) { state.withLock { ($0.taken.count, $0.used) } }

    private func size(of bytes: Int) -> Int { 1 + bytes / max(1, Self.bytes / limit) }

    /// A place for a new connection.
    func take(now: NIODeadline) -> Place {
        let (place, leaving) = state.withLock { state in
            let leaving = state.makeRoom(for: 1, of: limit, not: 0, now: now)
            state.lastID += 1
            let isTooMany = state.used >= limit
            let place = Place(self, id: state.lastID, isTooMany: isTooMany, now: now)
            if !isTooMany {
                state.taken[state.lastID] = place
                state.used += 1
            }
            return (place, leaving)
        }
        for place in leaving { place.makeRoom() }
        return place
    }
}
