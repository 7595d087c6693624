internal import APIKeyAuth
internal import HTTPServer
internal import JSON
internal import LinkSessionRepository
internal import LinkSessions

extension ManufacturerLinkSessions {
    /// The caller's own sessions, the newest first.
    @Sendable func list(_ request: Request) async throws -> Response {
        let caller = try await apiKeys.manufacturer(of: request)
        let query = FormFields(request.query)
        let filter = try LinkSessionFilter(query)
        let limit = try query.limit
        let last = try query.value("after", .after, expects: Self.expectedAfter) { LinkSessionID($0) }
        if let last {
            let found = try await sessions.find(last, until: request.deadline)
            guard found?.manufacturer.id == caller.manufacturer.id else {
                throw ValidationError(.after, "after must be \(Self.expectedAfter)")
            }
        }
        let page = try await sessions.list(
            of: caller.manufacturer.id, filter, after: last, limit: limit, until: request.deadline)
        return Response(
            json: JSONWriter.object { object in
                object.add(
                    "data",
                    array: page.sessions.map { session in
                        { write(session, of: caller.manufacturer, nil, to: &$0) }
                    })
                object.add("has_more", page.next != nil)
                object.add("next", orNull: page.next?.text)
            })
    }

    private static let expectedAfter = "the next of the page before: the id of one of your link sessions"
}

extension LinkSessionFilter {
    fileprivate init(_ query: FormFields) throws(ValidationError) {
        let userID = try query.value("user_id", .userID, expects: "a user id") { $0 }
        self.init(
            userID: try userID.map(ManufacturerUserID.init),
            status: try query.value(
                "status", .status, expects: "one of: open, completed, expired", LinkSession.Status.init(rawValue:)),
            createdAfter: try query.time("created_after", .createdAfter),
            createdBefore: try query.time("created_before", .createdBefore))
    }
}

extension FormFields {
    var limit: Int {
        get throws(ValidationError) {
            try value("limit", .limit, expects: "a whole number from 1 to 100") { text in
                text.wholeNumber.flatMap { (1...100).contains($0) ? Int($0) : nil }
            } ?? 20
        }
    }

    fileprivate func time(_ name: String, _ rule: ValidationError.Rule) throws(ValidationError) -> UnixSeconds? {
        let end = LinkSessionFilter.endOfTime
        return try value(name, rule, expects: "a time in whole Unix seconds, from 0 to \(end)") { text in
            text.wholeNumber.flatMap { $0 <= end ? $0 : nil }
        }
    }

    /// A field that may be left out.
    func value<Value>(
        _ name: String, _ rule: ValidationError.Rule, expects expectation: String, _ parse: (String) -> Value?
    ) throws(ValidationError) -> Value? {
        guard !unusable.contains(name) else {
            throw ValidationError(rule, "\(name) must be given once, as percent-encoded UTF-8")
        }
        guard let text = self[name] else { return nil }
        guard let value = parse(text) else { throw ValidationError(rule, "\(name) must be \(expectation)") }
        return value
    }
}

extension String {
    /// Of decimal digits alone; `nil` for another text, and for what is beyond 64 bits.
    var wholeNumber: Int64? { utf8.allSatisfy(\.isASCIIDigit) ? Int64(self) : nil }
}
