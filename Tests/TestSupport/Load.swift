// Steady creates from several clients while a test does something to the service or its database.

import Synchronization

package final class Load: Sendable {
    package struct Answer: Sendable {
        package let status: Int
        package let token: String?
        package let started: ContinuousClock.Instant
        package let ended: ContinuousClock.Instant

        package var duration: Duration { ended - started }
    }

    private struct State {
        var answers: [Answer] = []
        var brokenOff = 0
        var isStopped = false
    }

    private let state = Mutex(State())

    package var answers: [Answer] { state.withLock { $0.answers } }

    /// Requests that were sent and got no whole answer.
    package var brokenOff: Int { state.withLock { $0.brokenOff } }

    private var isStopped: Bool { state.withLock { $0.isStopped } }

    /// Lets `clients` connections create sessions one after the other until `body` has ended.
    package static func creating<Value: Sendable>(
        on port: Int, clients: Int, key: String = TestKeys.acme, _ body: (Load) async throws -> Value
    ) async throws -> (value: Value, load: Load) {
        let load = Load()
        let value = try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<clients { group.addTask { await load.client(port: port, key: key) } }
            defer { load.state.withLock { $0.isStopped = true } }
            return try await body(load)
        }
        return (value, load)
    }

    /// Connects anew where the server announced the end of a connection; ends where nobody listens any more.
    private func client(port: Int, key: String) async {
        let body = Array(#"{"user_id":"load","redirect_url":"https://your-app.com/callback"}"#.utf8)
        while !isStopped {
            do {
                try await TestConnection.with(port: port) { session in
                    while !isStopped {
                        let started = ContinuousClock.now
                        do {
                            let response = try await session.send(
                                "POST", "/v2/manufacturer/link-sessions",
                                headers: [("Content-Type", "application/json"), ("x-api-key", key)], body: body)
                            let answer = Answer(
                                status: response.status, token: response.json["link_token"]?.string, started: started,
                                ended: .now)
                            state.withLock { $0.answers.append(answer) }
                            if response.header("Connection")?.lowercased() == "close" { return }
                        } catch {
                            state.withLock { $0.brokenOff += 1 }
                            return
                        }
                    }
                }
            } catch {
                try? await Task.sleep(for: .milliseconds(20))
            }
        }
    }
}
