// When an answer was made (RFC 9110, section 6.6.1).

import Foundation
import Testing

@testable import HTTPServer

@Suite struct DateHeaderTests {
    @Test func `an answer says the second in which it was made, and a later one the later second`() async throws {
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.timeZone = TimeZone(secondsFromGMT: 0)
        format.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
        for _ in 0..<2 {
            let before = Date().timeIntervalSince1970.rounded(.down)
            let text = DateHeader.now
            let date = try #require(format.date(from: text), "\(text)")
            #expect((before...Date().timeIntervalSince1970).contains(date.timeIntervalSince1970), "\(text)")
            try await Task.sleep(for: .milliseconds(1100))
        }
    }
}
