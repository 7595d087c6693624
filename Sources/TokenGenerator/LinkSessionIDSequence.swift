internal import LinkSessions
internal import Synchronization

/// This replica's ids of link sessions: each greater than the one before, whatever the machine's clock does.
///
/// Their shard changes every 100 ms: sessions that are made at the same time can go into one INSERT that touches one
/// shard, and over a day all shards get their part.
final class LinkSessionIDSequence: Sendable {
    private struct State {
        var ticks: UInt64 = 0
        var shard: UInt8 = 0
        /// By the clock, which may step back: the shard's ids go on.
        var shardBegan: UInt64 = .max
    }

    private static let ticksOfAShard: UInt64 = 100 * 4096

    private let now: @Sendable () -> UInt64
    private let state = Mutex(State())

    /// - Parameter now: nanoseconds since 1970.
    init(now: @escaping @Sendable () -> UInt64) { self.now = now }

    /// Ends a shard before its time, where its sessions cannot be stored.
    func leave(_ shard: UInt8) {
        state.withLock { state in
            if state.shard == shard { state.shardBegan = .max }
        }
    }

    /// - Parameters:
    ///   - random: 62 bits of it are used: 54 for the id and, where a shard ends, 8 for the next one.
    ///   - shard: in place of the sequence's own.
    func next(random: UInt64, shard: UInt8? = nil) -> LinkSessionID {
        let (milliseconds, rest) = now().quotientAndRemainder(dividingBy: 1_000_000)
        // 4096ths of a millisecond.
        let ticks = milliseconds << 12 | (rest << 12) / 1_000_000
        return state.withLock { state in
            state.ticks = max(state.ticks + 1, ticks)
            if ticks < state.shardBegan || ticks - state.shardBegan >= Self.ticksOfAShard {
                state.shard = UInt8(truncatingIfNeeded: random >> 54)
                state.shardBegan = ticks
            }
            return LinkSessionID(ticks: state.ticks, shard: shard ?? state.shard, random: random)
        }
    }
}
