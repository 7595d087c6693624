package import CoreMetrics
internal import Synchronization

/// The metrics of a process, and the backend of swift-metrics that keeps them: those that were described, and no others,
/// with no more label sets than were said, whatever is asked of the process.
package final class MetricsRegistry: MetricsFactory {
    struct Family: Sendable {
        let description: MetricDescription
        fileprivate(set) var series: [(labels: String, series: any MetricSeries)] = []
        fileprivate var index: [[String]: any MetricSeries] = [:]
        fileprivate var overflow: (any MetricSeries)?

        fileprivate init(_ description: MetricDescription) { self.description = description }
    }

    private let names: [String]
    private let families: Mutex<[String: Family]>

    package init(_ descriptions: [MetricDescription]) {
        names = descriptions.map(\.name)
        families = Mutex(Dictionary(descriptions.map { ($0.name, Family($0)) }) { first, _ in first })
        // What nothing was counted of yet is 0, and no gap.
        for description in descriptions where description.labels.isEmpty { _ = series(description.name, []) }
    }

    /// In the order in which they were described.
    func all() -> [Family] { families.withLock { families in names.compactMap { families[$0] } } }

    /// Sets a gauge, or a counter that somebody else counts.
    ///
    /// - Parameter values: of the labels, in their order.
    package func set(_ name: String, _ values: [String] = [], to value: Double) {
        switch series(name, values) {
        case let gauge as GaugeSeries: gauge.record(value)
        case let counter as CounterSeries: counter.set(Int64(value))
        default: break
        }
    }

    /// Sets a gauge of things that come and go: those that are not named are gone, and so are their label sets.
    package func replace(_ name: String, with values: [(labels: [String], value: Double)]) {
        families.withLock { families in
            families[name]?.removeSeries()
            for (labels, value) in values { (families[name]?.series(labels) as? GaugeSeries)?.record(value) }
        }
    }

    /// `nil` where no metric of this name was described.
    private func series(_ name: String, _ values: [String]) -> (any MetricSeries)? {
        families.withLock { $0[name]?.series(values) }
    }

    private func series(_ name: String, dimensions: [(String, String)]) -> (any MetricSeries)? {
        families.withLock { families in
            let values = families[name]?.description.labels.map { label in
                dimensions.first { $0.0 == label }?.1 ?? ""
            }
            return values.flatMap { families[name]?.series($0) }
        }
    }
}

extension MetricsRegistry.Family {
    fileprivate mutating func series(_ values: [String]) -> any MetricSeries {
        if let known = index[values] { return known }
        guard index.count < description.mostSeries else {
            if let overflow { return overflow }
            let new = newSeries()
            overflow = new
            // As OpenTelemetry names it.
            series.append(("otel_metric_overflow=\"true\"", new))
            return new
        }
        let new = newSeries()
        index[values] = new
        let labels = zip(description.labels, values).map { "\($0)=\"\(MetricsText.escapedLabel($1))\"" }
        series.append((labels.joined(separator: ","), new))
        return new
    }

    fileprivate mutating func removeSeries() { (series, index, overflow) = ([], [:], nil) }

    private func newSeries() -> any MetricSeries {
        switch description.kind {
        case .counter: CounterSeries()
        case .gauge: GaugeSeries()
        case .durations(let bounds):
            HistogramSeries(bounds: bounds.map { Int64(($0 * 1e9).rounded()) }, unitsPerOne: 1e9)
        case .sizes(let bounds): HistogramSeries(bounds: bounds.map(Int64.init), unitsPerOne: 1)
        }
    }
}

/// What code asks for through swift-metrics; what was not described, or as something else, is kept by nobody.
extension MetricsRegistry {
    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        series(label, dimensions: dimensions) as? CounterSeries ?? NOOPMetricsHandler.instance
    }

    package func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        let series = series(label, dimensions: dimensions)
        if aggregate { return series as? HistogramSeries ?? NOOPMetricsHandler.instance }
        return series as? GaugeSeries ?? NOOPMetricsHandler.instance
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        series(label, dimensions: dimensions) as? HistogramSeries ?? NOOPMetricsHandler.instance
    }

    /// Nothing goes away: a metric that did would look like a restart.
    package func destroyCounter(_: any CounterHandler) {}
    package func destroyRecorder(_: any RecorderHandler) {}
    package func destroyTimer(_: any TimerHandler) {}
}
