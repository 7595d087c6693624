internal import CLibpq

/// The text as a literal with its quotes, `'O''Brien'`, as libpq writes it: right whatever the server's
/// `standard_conforming_strings`. For files that a person reads before they run; statements of the service bind their
/// values.
///
/// - Returns: `nil` where the text holds a NUL, or memory has run out.
package func sqlLiteral(_ text: String) -> String? {
    guard !text.utf8.contains(0) else { return nil }
    // libpq quotes for a connection. This one asks for an SSL mode that does not exist, and so never begins to connect.
    let unconnected = unsafe PQconnectStart("sslmode=none")
    defer { unsafe PQfinish(unconnected) }
    let literal = unsafe PQescapeLiteral(unconnected, text, text.utf8.count)
    defer { unsafe PQfreemem(literal) }
    guard let literal = unsafe literal else { return nil }
    return unsafe String(cString: literal)
}
