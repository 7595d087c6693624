// What is recorded comes out, in both formats, and no more of it than was described.

import CoreMetrics
import Metrics
import PrometheusMetrics
import Testing

@Suite struct MetricsRegistryTests {
    private let registry = MetricsRegistry([
        MetricDescription("requests_total", .counter, labels: ["route", "status"], mostSeries: 3, "Requests."),
        MetricDescription("waiting", .gauge, "A \"queue\" of \\ and\nlines."),
        MetricDescription("duration_seconds", .durations([0.001, 0.25, 2]), labels: ["route"], "Time."),
        MetricDescription("group_size", .sizes([1, 2, 4]), "Size."),
    ])

    private func text(_ format: MetricsFormat = .prometheus) -> [String] {
        String(decoding: registry.text(format), as: UTF8.self).split(separator: "\n").map(String.init)
    }

    @Test func `Prometheus's format has every kind as it should`() {
        let counter = Counter(
            label: "requests_total", dimensions: [("status", "200"), ("route", "/a\"b\\c")], factory: registry)
        counter.increment()
        counter.increment(by: 2)
        Gauge(label: "waiting", dimensions: [], factory: registry).record(3)
        let timer = Metrics.Timer(
            label: "duration_seconds", dimensions: [("route", "-")], preferredDisplayUnit: .seconds, factory: registry)
        for milliseconds in [1, 2, 250, 251, 3000] { timer.recordMilliseconds(milliseconds) }
        let recorder = Recorder(label: "group_size", dimensions: [], aggregate: true, factory: registry)
        for size in [1, 3, 9] { recorder.record(size) }
        #expect(
            text() == [
                "# HELP requests_total Requests.",
                "# TYPE requests_total counter",
                #"requests_total{route="/a\"b\\c",status="200"} 3"#,
                #"# HELP waiting A "queue" of \\ and\nlines."#,
                "# TYPE waiting gauge",
                "waiting 3.0",
                "# HELP duration_seconds Time.",
                "# TYPE duration_seconds histogram",
                #"duration_seconds_bucket{route="-",le="0.001"} 1"#,
                #"duration_seconds_bucket{route="-",le="0.25"} 3"#,
                #"duration_seconds_bucket{route="-",le="2.0"} 4"#,
                #"duration_seconds_bucket{route="-",le="+Inf"} 5"#,
                #"duration_seconds_sum{route="-"} 3.504"#,
                #"duration_seconds_count{route="-"} 5"#,
                "# HELP group_size Size.",
                "# TYPE group_size histogram",
                #"group_size_bucket{le="1.0"} 1"#,
                #"group_size_bucket{le="2.0"} 1"#,
                #"group_size_bucket{le="4.0"} 2"#,
                #"group_size_bucket{le="+Inf"} 3"#,
                "group_size_sum 13.0",
                "group_size_count 3",
            ])
    }

    @Test func `things that are gone are no longer told of, and leave their places to others`() {
        let registry = MetricsRegistry([
            MetricDescription("failing", .gauge, labels: ["supplier"], mostSeries: 2, "Failing.")
        ])
        func lines() -> [Substring] {
            String(decoding: registry.text(.prometheus), as: UTF8.self).split(separator: "\n").filter {
                !$0.hasPrefix("#")
            }
        }
        registry.replace("failing", with: [(["a"], 1), (["b"], 0), (["c"], 1)])
        #expect(
            lines() == [
                #"failing{supplier="a"} 1.0"#, #"failing{supplier="b"} 0.0"#,
                #"failing{otel_metric_overflow="true"} 1.0"#,
            ])
        registry.replace("failing", with: [(["c"], 1), (["b"], 1)])
        #expect(lines() == [#"failing{supplier="c"} 1.0"#, #"failing{supplier="b"} 1.0"#])
        registry.replace("unknown", with: [([], 1)])
    }

    @Test func `OpenMetrics names a counter's family without its suffix, and has an end`() {
        registry.set("requests_total", ["/", "200"], to: 5)
        let lines = text(.openMetrics)
        #expect(lines.contains("# TYPE requests counter"))
        #expect(lines.contains("# HELP requests Requests."))
        #expect(lines.contains(#"requests_total{route="/",status="200"} 5"#))
        #expect(lines.contains(#"# HELP waiting A \"queue\" of \\ and\nlines."#))
        #expect(lines.last == "# EOF")
    }

    @Test func `a gauge that nobody set has no sample, and a histogram without labels is 0`() {
        #expect(!text().contains { $0.hasPrefix("waiting") })
        #expect(text().contains("group_size_count 0"))
    }

    @Test func `past the bound label sets are counted together, and those that are known go on`() {
        for number in 0..<1000 {
            Counter(label: "requests_total", dimensions: [("route", "/\(number)")], factory: registry).increment()
        }
        Counter(label: "requests_total", dimensions: [("route", "/1")], factory: registry).increment()
        let samples = text().filter { $0.hasPrefix("requests_total{") }
        #expect(
            samples == [
                #"requests_total{route="/0",status=""} 1"#, #"requests_total{route="/1",status=""} 2"#,
                #"requests_total{route="/2",status=""} 1"#, #"requests_total{otel_metric_overflow="true"} 997"#,
            ])
    }

    @Test func `what was not described, or as another kind, is kept by nobody`() {
        let before = text()
        Counter(label: "unknown_total", dimensions: [("a", "b")], factory: registry).increment()
        Counter(label: "waiting", dimensions: [], factory: registry).increment()
        Gauge(label: "group_size", dimensions: [], factory: registry).record(1)
        registry.set("unknown", to: 1)
        #expect(text() == before)
    }

    @Test func `nothing that many threads record is lost`() async {
        let counter = Counter(label: "requests_total", dimensions: [], factory: registry)
        let timer = Metrics.Timer(
            label: "duration_seconds", dimensions: [], preferredDisplayUnit: .seconds, factory: registry)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<10_000 {
                        counter.increment()
                        timer.recordNanoseconds(1_000_000)
                    }
                }
            }
        }
        #expect(text().contains(#"requests_total{route="",status=""} 80000"#))
        #expect(text().contains(#"duration_seconds_bucket{route="",le="0.001"} 80000"#))
        #expect(text().contains(#"duration_seconds_sum{route=""} 80.0"#))
    }
}
