internal import CoreMetrics
internal import Synchronization

/// One label set of a metric. Recording takes no lock and allocates nothing.
protocol MetricSeries: AnyObject, Sendable {
    /// Its samples: the suffix of the name, the value of the label `le` where there is one, and the value.
    var samples: [(suffix: String, bound: String?, value: String)] { get }
}

/// A number that grows.
final class CounterSeries: MetricSeries, CounterHandler {
    private let count = Atomic<Int64>(0)

    func increment(by amount: Int64) { count.wrappingAdd(amount, ordering: .relaxed) }
    func reset() { set(0) }

    /// For what somebody else counts.
    func set(_ value: Int64) { count.store(value, ordering: .relaxed) }

    var samples: [(suffix: String, bound: String?, value: String)] {
        [("", nil, String(count.load(ordering: .relaxed)))]
    }
}

/// A number as it is now; there is no sample before it is known.
final class GaugeSeries: MetricSeries, RecorderHandler {
    private let bits = Atomic<UInt64>(Double.nan.bitPattern)

    func record(_ value: Int64) { record(Double(value)) }
    func record(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }

    var samples: [(suffix: String, bound: String?, value: String)] {
        let value = Double(bitPattern: bits.load(ordering: .relaxed))
        return value.isNaN ? [] : [("", nil, value.exposed)]
    }
}

/// How many values were at most as large as each bound.
final class HistogramSeries: MetricSeries, RecorderHandler, TimerHandler {
    private static let mostBounds = 15

    /// In the unit that is recorded.
    private let bounds: [Int64]
    /// So many of these units are 1 as exposed.
    private let unitsPerOne: Double
    private let counts: InlineArray<16, Atomic<Int64>> = .init { _ in Atomic(0) }
    private let sum = Atomic<Int64>(0)

    /// - Parameter bounds: at most 15 count.
    init(bounds: [Int64], unitsPerOne: Double) {
        self.bounds = Array(bounds.prefix(Self.mostBounds))
        self.unitsPerOne = unitsPerOne
    }

    func recordNanoseconds(_ duration: Int64) { record(duration) }
    func record(_ value: Double) { record(Int64(value.rounded())) }

    func record(_ value: Int64) {
        var bucket = 0
        while bucket < bounds.count, bounds[bucket] < value { bucket += 1 }
        counts[bucket].wrappingAdd(1, ordering: .relaxed)
        sum.wrappingAdd(value, ordering: .relaxed)
    }

    var samples: [(suffix: String, bound: String?, value: String)] {
        var (samples, total): ([(suffix: String, bound: String?, value: String)], Int64) = ([], 0)
        for (index, bound) in bounds.enumerated() {
            total += counts[index].load(ordering: .relaxed)
            samples.append(("_bucket", (Double(bound) / unitsPerOne).exposed, String(total)))
        }
        total += counts[bounds.count].load(ordering: .relaxed)
        samples.append(("_bucket", "+Inf", String(total)))
        samples.append(("_sum", nil, (Double(sum.load(ordering: .relaxed)) / unitsPerOne).exposed))
        samples.append(("_count", nil, String(total)))
        return samples
    }
}

extension Double {
    /// As Prometheus writes a number; the same in both formats.
    fileprivate var exposed: String { isInfinite ? (self < 0 ? "-Inf" : "+Inf") : description }
}
