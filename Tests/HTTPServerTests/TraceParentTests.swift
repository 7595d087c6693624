// Which trace a request belongs to.

@testable import HTTPServer
import NIOHTTP1
import Testing

@Suite struct TraceParentTests {
    private static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"

    @Test func `a well-formed field of version 00 names its trace`() {
        for flags in ["00", "01", "ff"] {
            let headers: HTTPHeaders = ["traceparent": "00-\(Self.trace)-00f067aa0ba902b7-\(flags)"]
            #expect(TraceParent.traceID(in: headers) == Self.trace)
        }
    }

    @Test(arguments: [
        "", trace, "00-\(trace)-00f067aa0ba902b7", "00-\(trace)-00f067aa0ba902b7-01-",
        "01-\(trace)-00f067aa0ba902b7-01",
        "ff-\(trace)-00f067aa0ba902b7-01", "00-\(trace.uppercased())-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "00-\(trace)-0000000000000000-01",
        "00-\(trace)-00f067aa0ba902b7-0g", "00-\(trace.dropLast())-00f067aa0ba902b7a-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473\n-00f067aa0ba902b7-01", " 00-\(trace)-00f067aa0ba902b7-01",
        "00_\(trace)_00f067aa0ba902b7_01",
    ])
    func `any other says nothing`(field: String) {
        #expect(TraceParent.traceID(in: ["traceparent": field]) == nil)
    }

    @Test func `two fields say nothing, and neither does none`() {
        let field = "00-\(Self.trace)-00f067aa0ba902b7-01"
        #expect(TraceParent.traceID(in: HTTPHeaders([("traceparent", field), ("traceparent", field)])) == nil)
        #expect(TraceParent.traceID(in: [:]) == nil)
    }
}
