/// A value from outside that breaks a rule. The message is for the developer at the caller: it starts with the field's name
/// and never repeats the value, which may be personal data.
package struct ValidationError: Error, Sendable, Equatable {
    package enum Rule: Sendable {
        case userID, redirectURL, redirectPolicy, language, supplier, supplierUserID, code
        case status, createdAfter, createdBefore, limit, after, idempotencyKey
    }

    package let rule: Rule
    package let message: String

    package init(_ rule: Rule, _ message: String) {
        self.rule = rule
        self.message = message
    }
}
