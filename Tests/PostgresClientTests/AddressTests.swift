// Where the database is, and that no part of a password is taken for it.

import PostgresClient
import Testing

@Suite struct AddressTests {
    @Test(
        arguments: [
            ("postgres://app:secret@db.example:5432/prod?sslmode=verify-full", "verify-full"),
            ("postgresql://db.example/prod", nil),
            ("postgres://app@/prod?host=/run/postgresql", nil),
            ("postgres://%2Frun%2Fpostgresql/prod", nil),
            ("postgres://a.example:1,b.example:2/prod?target_session_attrs=read-write", nil),
            ("postgres://[2001:db8::1]:5432/prod", nil),
            ("host=db.example dbname=prod sslmode=require password='a b'", "require"),
            ("host=db.example hostaddr=192.0.2.1", nil),
            ("postgres://app:p%40ss%2Fword@db.example/prod", nil),
            ("postgres://app:a%3Fb@db.example/prod", nil),
            ("postgres://app:a:b@db.example/prod", nil),
        ] as [(String, String?)])
    func `the sslmode is what libpq takes it for`(text: String, sslmode: String?) throws {
        let address = try DatabaseAddress(connectionString: text)
        #expect(address.sslmode == sslmode)
    }

    @Test(arguments: [
        "postgres", "postgres://db.example/prod?sslmode", "postgres://db.example/prod?nonsense=1", "host=a nonsense=1",
        "postgres://[::1/prod", "host='a", "postgres://app:%zz@db.example/prod", "mysql://db.example/prod",
    ])
    func `what libpq cannot parse is malformed`(text: String) {
        #expect(throws: DatabaseAddressError.malformed) { try DatabaseAddress(connectionString: text) }
    }

    @Test(arguments: [
        "postgres://app:p@ss@db.example/prod", "postgresql://app:p@ss@db.example:5432/prod?sslmode=verify-full",
        "postgres://app:@@db.example", "postgres://a@b:secret@db.example/prod",
        // libpq takes what follows the first @ for the host, also where a question mark comes before it.
        "postgres://app:p?s@s@db.example/prod",
    ])
    func `a password with an unescaped @ is refused`(text: String) {
        #expect(throws: DatabaseAddressError.ambiguousPassword) { try DatabaseAddress(connectionString: text) }
    }

    /// libpq takes `app` for the host and `pa` for the port, or the rest for the database's name, and repeats them in
    /// its messages, which are logged.
    @Test(arguments: [
        "postgres://app:pa/ss@db.example/prod", "postgres://app:p@s/s@db.example/prod",
        "postgres://app:5432/ss@db.example/prod",
    ])
    func `a password with an unescaped slash is refused`(text: String) {
        #expect(throws: DatabaseAddressError.self) { try DatabaseAddress(connectionString: text) }
    }

    @Test func `a keyword's value may hold whatever it likes`() throws {
        _ = try DatabaseAddress(connectionString: "host=db.example password='a://b@c@d'")
    }

    @Test(arguments: [
        "postgres://app@/prod?host=/run/postgresql", "postgres://%2Frun%2Fpostgresql/prod", "host=/run/postgresql",
        "host=@abstract", "host=/a,/b",
    ])
    func `a socket is local`(text: String) throws {
        #expect(try DatabaseAddress(connectionString: text).isLocalSocket)
    }

    @Test(arguments: [
        "postgres://localhost/prod", "postgres://127.0.0.1/prod", "postgres://[::1]/prod", "host=/a,db.example",
        "host=db.example,/a", "hostaddr=127.0.0.1", "host=/a hostaddr=192.0.2.1",
        // An empty hostaddr is none: libpq looks the host up.
        "host=db.example hostaddr=''", "host=a.example,b.example hostaddr=,",
        // A service file can name any host.
        "service=prod", "service=prod host=/a",
    ])
    func `everything else crosses a network`(text: String) throws {
        #expect(try !DatabaseAddress(connectionString: text).isLocalSocket)
    }
}
