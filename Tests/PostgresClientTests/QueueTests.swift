// The queue in which queries wait for a connection.

import PostgresClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct QueueTests {
    @Test func `callers beyond the line's limit are refused at once`() async throws {
        try await TestDatabase.withEmpty { database in
            try await DatabaseClient.running(on: database.address, connections: 1, waitingLimit: 3) { client in
                async let slow: Void = client.run(perform("SELECT pg_sleep(1.5)"))
                try await database.waitForSleeping()
                let results = await withTaskGroup(of: (DatabaseError?, Duration).self) { group in
                    for _ in 0..<10 {
                        group.addTask {
                            let (result, duration) = await timed { try await client.run(perform("SELECT 1")) }
                            return (result.databaseError, duration)
                        }
                    }
                    return await group.reduce(into: []) { $0.append($1) }
                }
                #expect(results.count { $0.0 == nil } == 3)
                let refused = results.filter { $0.0 == .unavailable(.overloaded) }
                #expect(refused.count == 7)
                #expect(refused.allSatisfy { $0.1 < .seconds(1) })
                try await slow
                // Those who left the line made room.
                try await client.run(perform("SELECT 1"))
            }
        }
    }

    @Test func `callers are served in the order in which they came`() async throws {
        try await TestDatabase.withEmpty { database in
            try await database.execute("CREATE TABLE served (place int GENERATED ALWAYS AS IDENTITY, caller int)")
            let insert = perform("INSERT INTO served (caller) VALUES ($1::bigint)")
            try await DatabaseClient.running(on: database.address, connections: 1) { client in
                async let slow: Void = client.run(perform("SELECT pg_sleep(0.3)"))
                try await database.waitForSleeping()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for caller in 0..<8 {
                        group.addTask { try await client.run(insert, [.number(Int64(caller))]) }
                        try await Task.sleep(for: .milliseconds(10))
                    }
                    try await group.waitForAll()
                }
                try await slow
                let callers = try await database.rows("SELECT caller FROM served ORDER BY place").map { $0[0] }
                #expect(callers == (0..<8).map { "\($0)" })
            }
        }
    }

    @Test func `callers of the second class take turns with those of the first, who have four for each of theirs`()
        async throws
    {
        try await TestDatabase.withEmpty { database in
            try await database.execute("CREATE TABLE served (place int GENERATED ALWAYS AS IDENTITY, class int)")
            let insert = perform("INSERT INTO served (class) VALUES ($1::bigint)")
            try await DatabaseClient.running(on: database.address, connections: 1, waitingLimit: 20) { client in
                async let slow: Void = client.run(perform("SELECT pg_sleep(0.5)"))
                try await database.waitForSleeping()
                let refused = try await withThrowingTaskGroup(of: DatabaseError?.self) { group in
                    for serviceClass in [ServiceClass.second, .first] {
                        for _ in 0..<(serviceClass == .second ? 25 : 8) {
                            group.addTask {
                                do throws(DatabaseError) {
                                    try await client.run(
                                        insert, [.number(Int64(serviceClass.rawValue))], as: serviceClass,
                                        until: .now + .seconds(5))
                                    return nil
                                } catch {
                                    return error
                                }
                            }
                        }
                        try await Task.sleep(for: .milliseconds(100))
                    }
                    return try await group.reduce(into: 0) { $0 += $1 == .unavailable(.overloaded) ? 1 : 0 }
                }
                try await slow
                #expect(refused == 5, "each class has a line of its own")
                let classes = try await database.rows("SELECT class FROM served ORDER BY place").compactMap { $0[0] }
                #expect(classes.count == 28)
                #expect(classes.prefix(12).count { $0 == "0" } == 8, "\(classes)")
                #expect(classes.prefix(5).contains("1"), "nobody waits until all others are done: \(classes)")
            }
        }
    }

    @Test func `every connection works`() async throws {
        try await TestDatabase.withEmpty { database in
            try await DatabaseClient.running(on: database.address, connections: 4) { client in
                let sleep = read("SELECT pg_backend_pid() FROM pg_sleep(1)") { row throws(DatabaseError) in
                    try row.int32()
                }
                let backends = try await withThrowingTaskGroup(of: Int32.self) { group in
                    for _ in 0..<4 { group.addTask { try await client.run(sleep)[0] } }
                    return try await group.reduce(into: Set<Int32>()) { $0.insert($1) }
                }
                #expect(backends.count == 4)
            }
        }
    }
}
