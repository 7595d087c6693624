/// How much somebody may ask for: so much a second, and so much at once.
package struct RateLimit: Hashable, Sendable {
    package let perSecond: Int
    package let atOnce: Int

    package static let range = 1...1_000_000

    package init?(perSecond: Int, atOnce: Int) {
        guard Self.range.contains(perSecond), Self.range.contains(atOnce), atOnce >= perSecond else { return nil }
        self.perSecond = perSecond
        self.atOnce = atOnce
    }

    /// - Parameter text: such as `100/200`.
    package init?(_ text: String) {
        let numbers = text.split(separator: "/", omittingEmptySubsequences: false).map { part in
            Int(part).flatMap { String($0) == part ? $0 : nil }
        }
        guard numbers.count == 2, let perSecond = numbers[0], let atOnce = numbers[1] else { return nil }
        self.init(perSecond: perSecond, atOnce: atOnce)
    }

    package func times(_ factor: Int) -> RateLimit {
        RateLimit(unchecked: perSecond * factor, atOnce * factor)
    }

    private init(unchecked perSecond: Int, _ atOnce: Int) {
        self.perSecond = perSecond
        self.atOnce = atOnce
    }

    /// In how many seconds what may come at once has come back: the window of the quota, as callers are told of it.
    package var window: Int { max(1, (atOnce + perSecond - 1) / perSecond) }
}
