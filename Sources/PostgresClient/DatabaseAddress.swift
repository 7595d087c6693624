internal import CLibpq
internal import Foundation

/// Where the database is, and what of its connection string decides whether it may be used.
package struct DatabaseAddress: Sendable {
    /// Whatever libpq takes: a URI or a keyword/value string. May hold a password.
    let connectionString: String

    /// Whether every host is certainly a Unix-domain socket: then nothing crosses a network. A service file can name
    /// any host, so one never counts.
    package let isLocalSocket: Bool
    package let sslmode: String?

    package init(connectionString: String) throws(DatabaseAddressError) {
        self.connectionString = connectionString
        let uri = ["postgres://", "postgresql://"].first { connectionString.hasPrefix($0) }
        if let uri {
            let afterScheme = connectionString.dropFirst(uri.count)
            let userInformation = afterScheme.prefix { $0 != "@" }
            guard
                afterScheme.count(where: { $0 == "@" }) <= 1,
                !afterScheme.contains("@") || !userInformation.contains("/")
            else { throw .ambiguousPassword }
        }
        var message: UnsafeMutablePointer<CChar>?
        let options = unsafe PQconninfoParse(connectionString, &message)
        defer {
            unsafe PQconninfoFree(options)
            unsafe PQfreemem(message)
        }
        guard var option = unsafe options else { throw .malformed }
        var values: [String: String] = [:]
        while let keyword = unsafe option.pointee.keyword {
            if let value = unsafe option.pointee.val {
                unsafe values[String(cString: keyword)] = String(cString: value)
            }
            unsafe option += 1
        }
        func value(_ keyword: String, _ variable: String) -> String { values[keyword] ?? environment(variable) ?? "" }
        let addresses = value("hostaddr", "PGHOSTADDR")
        let hosts = value("host", "PGHOST").split(separator: ",", omittingEmptySubsequences: false)
        isLocalSocket =
            addresses.allSatisfy { $0 == "," } && value("service", "PGSERVICE").isEmpty
            && hosts.allSatisfy { $0.isEmpty || $0.hasPrefix("/") || $0.hasPrefix("@") }
        sslmode = values["sslmode"] ?? environment("PGSSLMODE")
    }
}

/// Why a connection string is none that may be used.
package enum DatabaseAddressError: Error, Equatable {
    /// libpq's own words are left out: they can repeat the string.
    case malformed
    /// A password with an unescaped `@` or `/`: a part of it would be taken for a host and end up in logs.
    case ambiguousPassword
}

extension DatabaseAddress: CustomStringConvertible, CustomReflectable {
    package var description: String { "DatabaseAddress(secret)" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

private func environment(_ name: String) -> String? { unsafe getenv(name).map { unsafe String(cString: $0) } }
