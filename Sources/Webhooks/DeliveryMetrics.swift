internal import Metrics

/// What is counted of each attempt to send an event.
struct DeliveryMetrics: Sendable {
    /// Without those that were not sent.
    private let duration = Metrics.Timer(label: "link_session_webhook_delivery_duration_seconds")
    private let outcomes = Dictionary(
        uniqueKeysWithValues: WebhookAnswer.Outcome.allCases.map {
            ($0, Counter(label: "link_session_webhook_deliveries_total", dimensions: [("outcome", $0.rawValue)]))
        })

    func record(_ outcome: WebhookAnswer.Outcome, in time: Duration) {
        outcomes[outcome]?.increment()
        if outcome != .notSent { duration.recordNanoseconds(Int64(time / .nanoseconds(1))) }
    }
}
