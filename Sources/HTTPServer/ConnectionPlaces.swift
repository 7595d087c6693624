// How many connections there may be, and which of them make room for new ones.

internal import NIOCore
internal import Synchronization

/// When all places are taken, connections that were idle for longest are closed for new ones: first those that never
/// sent a request, whoever holds many of them. Only while all are at work a further one is refused.
final class ConnectionPlaces: Sendable {
    final class Place: Sendable {
        let isTooMany: Bool
        private let id: Int
        private let places: ConnectionPlaces
        private let close: Mutex<(@Sendable () -> Void)?> = Mutex(nil)
        /// Uptime in nanoseconds; 0 while the connection is at work.
        private let idleSince: Atomic<UInt64>
        private let hasSentRequest = Atomic<Bool>(false)

        fileprivate init(_ places: ConnectionPlaces, id: Int, isTooMany: Bool, now: NIODeadline) {
            self.places = places
            self.id = id
            self.isTooMany = isTooMany
            idleSince = Atomic(now.uptimeNanoseconds)
        }

        /// - Parameter close: closes the connection if it is still idle, else calls ``stay()``; called on any thread.
        func occupy(close: @escaping @Sendable () -> Void) { self.close.withLock { $0 = close } }

        func leave() {
            close.withLock { $0 = nil }
            places.set(nil, id)
        }

        /// The connection that was to make room was at work again.
        func stay() { places.set(self, id) }

        func note(isIdle: Bool, now: @autoclosure () -> NIODeadline = .now()) {
            guard isIdle != (idleSince.load(ordering: .relaxed) != 0) else { return }
            idleSince.store(isIdle ? now().uptimeNanoseconds : 0, ordering: .relaxed)
            if isIdle { hasSentRequest.store(true, ordering: .relaxed) }
        }

        /// Those that come first make room first; `nil` while the connection is at work.
        fileprivate var order: (group: Int, since: UInt64, id: Int)? {
            let since = idleSince.load(ordering: .relaxed)
            return since == 0 ? nil : (hasSentRequest.load(ordering: .relaxed) ? 1 : 0, since, id)
        }

        fileprivate func makeRoom() { close.withLock { $0 }?() }
    }

    private struct State {
        /// But those that are making room.
        var taken: [Int: Place] = [:]
        var lastID = 0
    }

    private let limit: Int
    private let state = Mutex(State())

    init(limit: Int) { self.limit = limit }

    /// A place for a new connection.
    func take(now: NIODeadline) -> Place {
        let (place, leaving) = state.withLock { state in
            var leaving: [Place] = []
            if state.taken.count >= limit {
                // A look at all of them makes room for many, so that a flood pays for few looks.
                let idle = state.taken.values.compactMap(\.order).sorted { ($0.group, $0.since) < ($1.group, $1.since) }
                leaving = idle.prefix(max(1, limit / 100)).compactMap { state.taken.removeValue(forKey: $0.id) }
            }
            state.lastID += 1
            let place = Place(self, id: state.lastID, isTooMany: state.taken.count >= limit, now: now)
            if !place.isTooMany { state.taken[state.lastID] = place }
            return (place, leaving)
        }
        for place in leaving { place.makeRoom() }
        return place
    }

    fileprivate func set(_ place: Place?, _ id: Int) { state.withLock { $0.taken[id] = place } }
}
