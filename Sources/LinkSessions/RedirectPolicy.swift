/// Where a manufacturer may send its users back to.
package enum RedirectPolicy: Sendable {
    /// Only the registered URLs, compared as ``RedirectURL/registrationKey`` says; none where the set is empty.
    case registered(Set<String>)
    /// Any well-formed URL: only where an operator said so.
    case unrestricted

    package func check(_ url: RedirectURL) throws(ValidationError) {
        guard let mismatch = mismatch(of: url) else { return }
        throw ValidationError(
            .redirectPolicy, "redirect_url is not among the manufacturer's allowed redirect URLs: \(mismatch.message)",
            cause: mismatch.cause)
    }

    package func allows(_ url: RedirectURL) -> Bool {
        switch self {
        case .registered(let keys): keys.contains(url.registrationKey)
        case .unrestricted: true
        }
    }

    /// Why a URL is not allowed; `nil` where it is.
    package func mismatch(of url: RedirectURL) -> RedirectMismatch? {
        guard case .registered(let keys) = self, !allows(url) else { return nil }
        return RedirectMismatch(of: url, from: keys)
    }
}

/// How a redirect URL differs from the nearest one that is registered: that with the fewest differing components, and of
/// those the one with the smallest difference.
package struct RedirectMismatch: Sendable, Equatable {
    /// For whoever sent the URL, and may know what the same manufacturer has registered.
    package let message: String
    /// For the log: what was expected, and nothing of the URL that was sent, since a caller may have put a user's id or a
    /// token into it.
    package let cause: String

    /// Of so many registered URLs the nearest is looked for.
    private static let mostCompared = 1000

    /// - Parameter keys: ``RedirectURL/registrationKey``, which is a redirect URL, too.
    init(of url: RedirectURL, from keys: Set<String>) {
        let candidates = keys.sorted().prefix(Self.mostCompared).compactMap { key in
            (try? RedirectURL(key)).map { url.differences(from: $0) }
        }
        let nearest = candidates.min { left, right in
            (left.count, left.map(\.size).reduce(0, +)) < (right.count, right.map(\.size).reduce(0, +))
        }
        guard let nearest, !nearest.isEmpty else {
            message = "none is registered"
            cause = "no redirect URL is registered"
            return
        }
        message = nearest.map { "\($0.name): \($0.shown.sent) is not \($0.shown.registered)" }.joined(separator: "; ")
        cause =
            "redirect_url differs from the nearest registered one: "
            + nearest.map { "\($0.name) is not \($0.shown.registered)" }.joined(separator: "; ")
    }
}

extension RedirectURL {
    /// A component in which two URLs differ.
    fileprivate struct Difference {
        let name: String
        let sent: String
        let registered: String

        /// How many bytes lie between what both begin with and what both end with.
        var size: Int {
            let (sent, registered) = (Array(sent.utf8), Array(registered.utf8))
            let shorter = min(sent.count, registered.count)
            let start = commonStart
            let end = (0..<(shorter - start)).prefix {
                sent[sent.count - 1 - $0] == registered[registered.count - 1 - $0]
            }.count
            return max(sent.count, registered.count) - start - end
        }

        private var commonStart: Int { zip(sent.utf8, registered.utf8).prefix { $0 == $1 }.count }

        /// Both, cut around the place where they part. What a redirect URL has is ASCII without blanks and quotes, so
        /// that it can stand in a sentence.
        var shown: (sent: String, registered: String) {
            let start = max(0, commonStart - 20)
            return (Self.shown(sent, from: start), Self.shown(registered, from: start))
        }

        private static func shown(_ text: String, from start: Int) -> String {
            let most = 80
            guard !text.isEmpty else { return "none" }
            guard text.utf8.count > most else { return text }
            let part = text.utf8.dropFirst(start).prefix(most)
            return (start > 0 ? "…" : "") + String(decoding: part, as: UTF8.self)
                + (part.endIndex < text.utf8.endIndex ? "…" : "")
        }
    }

    /// In the order in which they stand in a URL. Ports are compared where both have one: else the scheme or the host
    /// differs already.
    fileprivate func differences(from registered: RedirectURL) -> [Difference] {
        zip(comparedComponents, registered.comparedComponents).compactMap { sent, registered in
            let hasPorts = sent.name != "port" || !sent.text.isEmpty && !registered.text.isEmpty
            guard sent.text != registered.text, hasPorts else { return nil }
            return Difference(name: sent.name, sent: sent.text, registered: registered.text)
        }
    }
}
