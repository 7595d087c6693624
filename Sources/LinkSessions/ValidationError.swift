/// A value from outside that breaks a rule. The message is for the developer at the caller: it starts with the field's name
/// and never repeats the value, which may be personal data.
package struct ValidationError: Error, Sendable, Equatable {
    package enum Rule: Sendable {
        case userID, redirectURL, redirectPolicy, language, supplier, suppliers, metadata, supplierUserID, code
        case status, createdAfter, createdBefore, limit, after, idempotencyKey, types, wait
    }

    package let rule: Rule
    package let message: String
    /// For the log, where the message alone does not tell what an operator has to know.
    package let cause: String?

    package init(_ rule: Rule, _ message: String, cause: String? = nil) {
        self.rule = rule
        self.message = message
        self.cause = cause
    }
}
