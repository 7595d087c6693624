// What digests of erasures are made of.

import LinkSessions
import Testing

@Suite struct DataSubjectTests {
    @Test func `no two data subjects have the same bytes`() throws {
        func user(_ text: String, of manufacturer: Int64) throws -> DataSubject {
            .user(try ManufacturerUserID(text), of: Manufacturer.ID(manufacturer))
        }
        func account(_ text: String, at slug: String) throws -> DataSubject {
            let slug = try #require(Supplier.Slug(slug))
            return .account(try #require(SupplierIdentity(supplier: slug, userID: text)))
        }
        let subjects = [
            try user("1", of: 1), try user("11", of: 1), try user("1", of: 11), try user("é", of: 1),
            try user("e\u{301}", of: 1), try user("1", of: 256), try account("b-c", at: "a"),
            try account("c", at: "a-b"), try account("1", at: "1"), try account("11", at: "1"),
            try account("1", at: "11"),
        ]
        #expect(Set(subjects.map(\.bytes)).count == subjects.count)
        #expect(try user("u", of: 258).bytes == [0x75, 0, 0, 0, 0, 0, 0, 1, 2, 0x75])
        #expect(try account("u", at: "s").bytes == [0x61, 0x73, 0, 0x75])
        #expect("\(subjects[0])" == "DataSubject(redacted)")
    }
}
