// What it costs the database that requests wait for events.

import LinkSessionRepository
import LinkSessions
import Logging
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct EventFeedWatcherTests {
    @Test func `while nothing happens the feed's end is looked at, and no events, however often there is a hint`()
        async throws
    {
        try await Storage.with { storage in
            func scans(of table: String) async throws -> Int {
                try await storage.database.count(
                    """
                    SELECT sum(seq_scan + coalesce(idx_scan, 0)) FROM pg_stat_user_tables WHERE relname LIKE '\(table)'
                    """)
            }
            let watcher = EventFeedWatcher(
                repository: storage.feed, logger: Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() })
            let watching = Task { try await watcher.run() }
            defer { watching.cancel() }
            let wait = try watcher.begin(.events, of: storage.acme.id, until: .now + .seconds(60))
            // Counts are told once a second.
            try await Task.sleep(for: .milliseconds(1500))
            let (looks, events) = (try await scans(of: "event_feed"), try await scans(of: "link_session_events%"))
            let start = ContinuousClock.now
            while ContinuousClock.now - start < .seconds(3) {
                watcher.hint()
                try await Task.sleep(for: .milliseconds(2))
            }
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            // One look scans the table up to four times.
            let looked = try await scans(of: "event_feed") - looks
            #expect(looked > 4 && Double(looked) / seconds < 4 * 30, "\(looked) in \(seconds) s")
            #expect(try await scans(of: "link_session_events%") == events)
            watcher.end(wait)
        }
    }
}
