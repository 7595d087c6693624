/// Where a manufacturer may send its users back to.
package enum RedirectPolicy: Sendable {
    /// Only the registered URLs, compared as ``RedirectURL/registrationKey`` says; none where the set is empty.
    case registered(Set<String>)
    /// Any well-formed URL: only where an operator said so.
    case unrestricted

    package func check(_ url: RedirectURL) throws(ValidationError) {
        if case .registered(let keys) = self, !keys.contains(url.registrationKey) { throw Self.notAllowed }
    }

    package static let notAllowed = ValidationError(
        .redirectPolicy, "redirect_url is not among the manufacturer's allowed redirect URLs")
}
