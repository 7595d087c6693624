// Every trace of a user is deleted.

import LinkSessionRepository
import LinkSessions
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct ErasureTests {
    @Test func `an erasure deletes every session of the user and counts it, and touches nobody else's`() async throws {
        try await Storage.with { storage in
            let administration = AdminRepository(address: try storage.database.address)
            // Others' lie between the first and the last of the user's.
            for (user, manufacturer) in [
                ("u", storage.acme), ("u ", storage.acme), ("u", storage.beta), ("u", storage.acme),
            ] {
                let token = try TestToken()
                try await storage.create(try storage.new(userID: user, of: manufacturer), token)
                _ = try await storage.lookUp(token.id)
            }
            let before = try await storage.now()
            let receipt = try await administration.erase(
                .user(try ManufacturerUserID("u"), of: storage.acme.id), digest: nil)
            #expect(receipt.sessions == 2)
            #expect(receipt.events == 2)
            #expect(Double(receipt.erasedAt) >= before.rounded(.down))
            #expect(
                try await storage.database.rows(
                    "SELECT user_id, manufacturer_id::text FROM link_sessions ORDER BY manufacturer_id")
                    == [["u ", "\(storage.acme.id.number)"], ["u", "\(storage.beta.id.number)"]])
            #expect(try await storage.database.count("SELECT count(*) FROM link_session_events") == 2)
            let again = try await administration.erase(
                .user(try ManufacturerUserID("u"), of: storage.acme.id), digest: nil)
            #expect(again.sessions == 0)
            await #expect {
                _ = try await administration.manufacturer(named: try DisplayText("Nobody"))
            } throws: {
                ($0 as? AdminError)?.line.hasPrefix("there is no manufacturer of this name") == true
            }
        }
    }

    @Test func `who has completed with another account stays a NOX user when one is erased, however long ago`()
        async throws
    {
        try await Storage.with { storage in
            let administration = AdminRepository(address: try storage.database.address)
            let accounts = try ["one", "another"].map {
                try #require(SupplierIdentity(supplier: .sandbox, userID: $0))
            }
            for account in accounts { try await storage.complete(try await storage.created(), as: account) }
            let users = "SELECT count(*) FROM nox_users"
            #expect(try await storage.database.count(users) == 1)
            try await storage.database.age(sessions: "true", by: "1 hour")
            for (account, left) in zip(accounts, [1, 0]) {
                #expect(try await administration.erase(.account(account), digest: nil).sessions == 1)
                #expect(try await storage.database.count(users) == left)
            }
        }
    }
}
