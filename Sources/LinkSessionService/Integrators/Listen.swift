internal import ArgumentParser
internal import Foundation
internal import LinkSessionRepository
internal import LinkSessions
internal import TokenGenerator
internal import Webhooks

struct Listen: Command {
    static let configuration = CommandConfiguration(
        abstract: "Forward a manufacturer's events to a receiver on this machine, as webhooks.",
        discussion: """
            For integrators at their desks, whose machine no webhook reaches: reads the feed of events with the \
            manufacturer's key, and posts each event to the receiver, one after the other, signed by Standard Webhooks \
            with the secret that is printed first. It is the same at every start with the same key.

            What is not taken (2xx within 10 s) is sent again until it is, and what follows waits. It goes on where it \
            was, whatever is restarted meanwhile; an event may then come twice, with the same webhook-id. Begins at the \
            feed's present end where neither --after nor an earlier run says where. Ctrl-C ends it.
            """)

    @OptionGroup var apiOptions: APIOptions
    @Option(help: "Your receiver, such as http://localhost:3000/hook.") var forwardTo: String
    @Option(help: "Only these, comma-separated, such as link_session.completed,link_session.expired.")
    var types: String?
    @Option(help: "Begin behind the event with this id; evt_0: with the first one that there is.") var after: String?
    @Option(help: "The file that keeps how far it is; without it one in the user's state directory.")
    var state: String?

    func perform() async throws {
        let api = try apiOptions.api()
        let receiver = try EventReceiver(url: forwardTo, key: api.key)
        let file = try state.map { EventCursorFile(path: $0) } ?? EventCursorFile(defaultFor: stateName(api))
        let given = try after.map { text throws(CommandError) in
            guard let position = FeedPosition(eventID: text) else {
                throw .argument("--after", expects: "the id of an event, such as evt_1764173412345678, or evt_0")
            }
            return position
        }
        let feed = EventFeedReader(api: api, types: types)
        try file.makeDirectory()
        let start: FeedPosition
        if let place = try given ?? file.read() {
            start = place
        } else {
            start = try await api.persistently(feed.end)
        }
        try file.write(start)
        try put("signing secret   \(receiver.secret.text)")
        try put("forwarding       \(api.url) from \(start.eventID) to \(receiver.url)")
        try await forward(feed, after: start, to: receiver, file)
    }

    private func forward(
        _ feed: EventFeedReader, after start: FeedPosition, to receiver: EventReceiver, _ file: EventCursorFile
    ) async throws {
        var position = start
        while true {
            let (at, asked) = (position, ContinuousClock.now)
            let page = try await feed.api.persistently { () throws(ManufacturerAPIError) in
                try await feed.page(after: at, wait: 50)
            }
            for event in page.events {
                try await deliver(event, to: receiver)
                try file.write(event.position)
            }
            if page.next != position { try file.write(page.next) }
            // A replica that is about to stop holds no answer.
            if page.events.isEmpty, !page.hasMore, .now - asked < .seconds(1) { try await Task.sleep(for: .seconds(1)) }
            position = page.next
        }
    }

    /// Until it is taken.
    private func deliver(_ event: ReadEvent, to receiver: EventReceiver) async throws {
        var backoff = Backoff(most: .seconds(5))
        var last: EventReceiver.Answer?
        while true {
            let start = ContinuousClock.now
            let answer = try await receiver.send(event)
            let milliseconds = (ContinuousClock.now - start) / .milliseconds(1)
            // Of many tries that fail in the same way, the first is enough.
            if answer != last {
                let type = event.type.padding(toLength: max(27, event.type.count), withPad: " ", startingAt: 0)
                try put(
                    "\(timestamp(unixSeconds: Int64(Date().timeIntervalSince1970)))  \(type)  \(event.sessionID)  "
                        + "\(answer.text)  \(Int(milliseconds.rounded())) ms")
            }
            if answer.isTaken { return }
            if last == nil {
                notice(
                    "this event is sent again until it is taken, and what follows waits; to pass over it, begin behind "
                        + "it: --after \(event.position.eventID)")
            }
            last = answer
            try await Task.sleep(for: backoff.next())
        }
    }

    /// One for each service, manufacturer's key and receiver; tells nothing of them.
    private func stateName(_ api: ManufacturerAPI) throws -> String {
        "listen-" + (try SHA256.digest(of: "\(api.url)\n\(api.key)\n\(forwardTo)")).hex.prefix(32)
    }
}
