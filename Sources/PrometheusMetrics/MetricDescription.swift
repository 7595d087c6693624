/// What a metric is called, what it means, and how many label sets it can have.
package struct MetricDescription: Sendable {
    package enum Kind: Sendable {
        /// Never falls but at a start.
        case counter
        case gauge
        /// Of seconds, in buckets up to these bounds.
        case durations([Double])
        /// Of whole numbers, in buckets up to these bounds.
        case sizes([Int])
    }

    /// As it is exposed; that of a counter ends in `_total`.
    package let name: String
    package let kind: Kind
    /// One line.
    package let help: String
    /// The names of its labels, in their order.
    package let labels: [String]
    /// Further label sets are counted together.
    package let mostSeries: Int

    package init(_ name: String, _ kind: Kind, labels: [String] = [], mostSeries: Int = 200, _ help: String) {
        self.name = name
        self.kind = kind
        self.help = help
        self.labels = labels
        self.mostSeries = mostSeries
    }

    var type: String {
        switch kind {
        case .counter: "counter"
        case .gauge: "gauge"
        case .durations, .sizes: "histogram"
        }
    }
}
