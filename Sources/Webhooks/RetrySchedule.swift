/// When what failed is tried again: with backoff, and with jitter, so that not all comes back at once.
enum RetrySchedule {
    /// How long an event, or an endpoint, may fail.
    static let patience = Duration.seconds(3 * 86_400)
    /// So many events in a row that were not taken: the endpoint is down, and not the events odd.
    static let failuresOfEndpoint = 5

    private static let delays: [Duration] = [
        .seconds(5), .seconds(30), .seconds(120), .seconds(600), .seconds(1800), .seconds(3600), .seconds(3 * 3600),
        .seconds(6 * 3600),
    ]
    private static let longestPause = Duration.seconds(300)

    /// - Parameter random: from 0 to 1.
    static func delay(afterAttempt number: Int, random: Double = .random(in: 0...1)) -> Duration {
        delays[min(max(number, 1), delays.count) - 1] * (0.8 + 0.4 * random)
    }

    /// Until the next event is sent to an endpoint that is down: from one second to five minutes.
    static func pause(afterFailures count: Int, random: Double = .random(in: 0...1)) -> Duration {
        let doublings = min(max(count - failuresOfEndpoint, 0), 9)
        return min(.seconds(1 << doublings), longestPause) * (0.8 + 0.4 * random)
    }
}
