// Which connections make room for new ones.

import NIOCore
import Synchronization
import Testing

@testable import HTTPServer

@Suite struct ConnectionPlacesTests {
    private let places = ConnectionPlaces(limit: 4)
    private let closed = ClosedConnections()

    private func take(_ name: String, at second: UInt64) -> ConnectionPlaces.Place {
        let place = places.take(now: .uptimeNanoseconds(second))
        place.occupy { [closed] in closed.add(name) }
        return place
    }

    @Test func `up to the limit all are let in`() {
        for number in 1...4 { #expect(!take("\(number)", at: UInt64(number)).isTooMany) }
        #expect(closed.names == [])
    }

    @Test func `the longest idle one makes room, and one that never sent a request before all others`() {
        let used = take("used", at: 1)
        used.note(isIdle: false, now: .uptimeNanoseconds(2))
        used.note(isIdle: true, now: .uptimeNanoseconds(3))
        let silent = take("silent", at: 5)
        let later = take("later", at: 6)
        let busy = take("busy", at: 4)
        busy.note(isIdle: false, now: .uptimeNanoseconds(7))

        #expect(!take("new 1", at: 8).isTooMany)
        #expect(closed.names == ["silent"])
        silent.leave()
        #expect(!take("new 2", at: 9).isTooMany)
        #expect(closed.names == ["silent", "later"])
        later.leave()
        #expect(!take("new 3", at: 10).isTooMany)
        #expect(closed.names == ["silent", "later", "new 1"], "newer, but it has sent nothing yet")
    }

    @Test func `while all are at work a further one is too many, and takes no place`() {
        let all = (1...4).map { take("\($0)", at: UInt64($0)) }
        for place in all { place.note(isIdle: false, now: .uptimeNanoseconds(9)) }
        let further = take("further", at: 10)
        #expect(further.isTooMany)
        #expect(closed.names == [])
        further.leave()
        all[0].leave()
        #expect(!take("next", at: 11).isTooMany)
    }

    @Test func `one that was at work again when it was to make room keeps its place`() {
        let all = (1...4).map { take("\($0)", at: UInt64($0)) }
        let new = take("new", at: 5)
        #expect(closed.names == ["1"])
        all[0].note(isIdle: false, now: .uptimeNanoseconds(6))
        all[0].stay()
        for place in all[1...] + [new] { place.note(isIdle: false, now: .uptimeNanoseconds(6)) }
        #expect(take("further", at: 7).isTooMany, "five are at work in four places")
        all[1].leave()
        #expect(take("further", at: 8).isTooMany)
        all[2].leave()
        #expect(!take("further", at: 9).isTooMany)
    }
}

private final class ClosedConnections: Sendable {
    private let closed = Mutex<[String]>([])
    var names: [String] { closed.withLock { $0 } }
    func add(_ name: String) { closed.withLock { $0.append(name) } }
}
