// The program answers.

import TestSupport
import Testing

@Suite struct SmokeTests {
    @Test func `the published request is answered with a session`() async throws {
        try await TestDatabase.with { database in
            try await database.addManufacturers()
            try await ServiceProcess.serving(database) { service in
                let response = try await service.create()
                #expect(response.status == 201)
                #expect(response.json["manufacturer"] == .string("Acme Manufacturing"))
                #expect(try await database.count("SELECT count(*) FROM link_sessions") == 1)
            }
        }
    }
}
