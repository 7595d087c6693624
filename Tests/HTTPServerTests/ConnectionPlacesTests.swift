// Which connections make room for new ones.

import NIOCore
import NIOHTTP1
import RateLimits
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
        used.note(waitsForClientSince: nil, hasReceivedRequest: true)
        used.note(waitsForClientSince: .uptimeNanoseconds(3), hasReceivedRequest: true)
        let silent = take("silent", at: 5)
        let later = take("later", at: 6)
        let busy = take("busy", at: 4)
        busy.note(waitsForClientSince: nil, hasReceivedRequest: true)

        #expect(!take("new 1", at: 8).isTooMany)
        #expect(closed.names == ["silent"])
        silent.leave()
        #expect(!take("new 2", at: 9).isTooMany)
        #expect(closed.names == ["silent", "later"])
        later.leave()
        #expect(!take("new 3", at: 10).isTooMany)
        #expect(closed.names == ["silent", "later", "new 1"], "newer, but it has sent nothing yet")
    }

    @Test func `a refusal that is held back makes room before idle ones, and callers with a key do last of all`()
        async throws
    {
        let keyed = take("keyed", at: 1)
        keyed.note(waitsForClientSince: .uptimeNanoseconds(1), hasReceivedRequest: true)
        keyed.note(hasUsableKey: true)
        let idle = take("idle", at: 2)
        idle.note(waitsForClientSince: .uptimeNanoseconds(2), hasReceivedRequest: true)
        let held = take("held", at: 3)
        held.note(waitsForClientSince: nil, hasReceivedRequest: true)
        let holding = Task { await held.holdBack(for: RefusalDelay()) }
        while !held.isHeldBack { try await Task.sleep(for: .milliseconds(1)) }
        let busy = take("busy", at: 4)
        busy.note(waitsForClientSince: nil, hasReceivedRequest: true)
        for (number, name) in ["held", "idle", "keyed"].enumerated() {
            let new = take("new", at: 10)
            #expect(!new.isTooMany)
            new.note(waitsForClientSince: nil, hasReceivedRequest: true)
            #expect(closed.names.last == name && closed.names.count == number + 1, "\(closed.names)")
        }
        #expect(take("further", at: 11).isTooMany)
        await holding.value
        #expect(!held.isHeldBack)
    }

    @Test(arguments: [true, false])
    func `a request with a usable key, a manufacturer's or the Authenticator's, tells its connection's place`(
        isManufacturer: Bool
    ) async {
        var routes = Routes()
        routes.add(
            "/", .keyed,
            .get { request in
                if isManufacturer { request.record.caller = 1 } else { request.record.authenticator = "web" }
                return Response(json: [])
            })
        let responder = Responder(routes: routes, isSecret: { _ in false }, accessLog: { _ in })
        let names = ["keyed", "unknown", "keyed as well", "unknown as well"]
        for (number, name) in names.enumerated() {
            let place = take(name, at: UInt64(number + 1))
            let path = name.hasPrefix("keyed") ? "/" : "/unknown"
            let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: path)
            _ = await responder.respond(to: responder.begin(head, RequestBody(), from: Client(nil), at: place))
            place.note(waitsForClientSince: .uptimeNanoseconds(UInt64(number + 1)), hasReceivedRequest: true)
        }
        #expect(!take("new", at: 9).isTooMany)
        #expect(closed.names == ["unknown"])
    }

    @Test func `while all are at work a further one is too many, and takes no place`() {
        let all = (1...4).map { take("\($0)", at: UInt64($0)) }
        for place in all { place.note(waitsForClientSince: nil, hasReceivedRequest: true) }
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
        all[0].note(waitsForClientSince: nil, hasReceivedRequest: true)
        all[0].stay()
        for place in all[1...] + [new] { place.note(waitsForClientSince: nil, hasReceivedRequest: true) }
        #expect(take("further", at: 7).isTooMany, "five are at work in four places")
        all[1].leave()
        #expect(take("further", at: 8).isTooMany)
        all[2].leave()
        #expect(!take("further", at: 9).isTooMany)
    }

    @Test func `a connection whose client holds it up for less than a moment keeps its place`() {
        for number in 1...4 {
            take("\(number)", at: 1).note(waitsForClientSince: .uptimeNanoseconds(10), hasReceivedRequest: true)
        }
        #expect(take("early", at: 9).isTooMany)
        #expect(closed.names == [])
        #expect(!take("later", at: 10).isTooMany)
        #expect(closed.names.count == 1)
    }

    @Test func `all places together hold 10 MiB of requests, and a connection with large ones takes more of them`() {
        #expect(ConnectionPlaces.bytes == 10 * 1024 * 1024)
        let place = ConnectionPlaces.bytes / 4
        let all = (1...3).map { take("\($0)", at: UInt64($0)) }
        for place in all { place.note(waitsForClientSince: nil, hasReceivedRequest: true) }
        let now = NIODeadline.uptimeNanoseconds(9)
        #expect(all[0].hold(place - 1, now: now))
        #expect(all[0].hold(place, now: now), "a second place")
        #expect(take("further", at: 9).isTooMany)
        #expect(!all[1].hold(place, now: now), "all four are taken")
        #expect(closed.names == [])
        all[0].hold(10, now: now)
        #expect(all[1].hold(place, now: now))
        all[1].leave()
        #expect(all[2].hold(2 * place, now: now))
    }

    @Test func `who waits for the client makes room for a large request, and not the one that has it`() {
        let place = ConnectionPlaces.bytes / 4
        let all = (1...4).map { take("\($0)", at: UInt64($0)) }
        #expect(all[0].hold(2 * place, now: .uptimeNanoseconds(9)))
        #expect(closed.names == ["2", "3"])
        all[1].stay()
        all[1].note(waitsForClientSince: nil, hasReceivedRequest: true)
        all[2].leave()
        #expect(!take("further", at: 10).isTooMany, "and 1 is closed for it, which waits longest")
        #expect(closed.names == ["2", "3", "1"])
    }
}

private final class ClosedConnections: Sendable {
    private let closed = Mutex<[String]>([])
    var names: [String] { closed.withLock { $0 } }
    func add(_ name: String) { closed.withLock { $0.append(name) } }
}
