/// The five characters that decide what happens after an error (PostgreSQL, appendix A).
package struct SQLState: Sendable, Equatable, CustomStringConvertible {
    package let code: String

    package init(_ code: String) { self.code = code }
    package var description: String { code }

    package static let uniqueViolation = SQLState("23505")
    package static let diskFull = SQLState("53100")

    enum Consequence {
        /// The server or the session is going away, or stopped being the primary: use another connection.
        case connectionBroken
        /// No time, no lock, no memory, no disk.
        case exhausted
        /// Serialization failure or deadlock: the same statement may pass at once.
        case tryAgain
        /// The prepared statement is not known to this session (a pooler may have changed it underneath).
        case prepareAgain
        /// A value does not fit its column or breaks a constraint: the fault lies in one row.
        case dataError
        case bug
    }

    var consequence: Consequence {
        switch code {
        case "57014", "55P03": .exhausted
        case "40001", "40P01": .tryAgain
        case "26000": .prepareAgain
        case "25006": .connectionBroken
        case _ where code.hasPrefix("08") || code.hasPrefix("57P"): .connectionBroken
        case _ where code.hasPrefix("53"): .exhausted
        case _ where code.hasPrefix("22") || code.hasPrefix("23"): .dataError
        default: .bug
        }
    }

    /// Whether the same statement may pass at once.
    ///
    /// A check without a constraint's name is a partition's own: while a row was on its way to the default partition, that
    /// of its day was made. Once alone, since what comes from a node of a Citus cluster never has a name.
    func mayPassAtOnce(constraint: String?, _ triedAgain: inout Set<Retry>) -> Bool {
        consequence == .tryAgain || code == "23514" && constraint == nil && triedAgain.insert(.check).inserted
    }

    /// Said on a connection that is whole, it is about another server that this one needs, such as a node of its
    /// cluster. Citus says it as an internal error where the node was lost in the middle of a transaction.
    func isOfNode(message: String) -> Bool {
        ["08000", "08001", "08003", "08006"].contains(code)
            || code == "XX000" && message.hasPrefix("failure on connection marked as essential")
    }

    /// What the caller is told whose statement is not tried again.
    func error(constraint: String?) -> DatabaseError {
        consequence == .exhausted ? .unavailable(.exhausted(self)) : .refused(self, constraint: constraint)
    }

    /// For what a statement is tried again once.
    enum Retry {
        case check
        /// The node may have been left by its old connections alone.
        case node
    }
}
