internal import ArgumentParser
internal import Foundation
internal import LinkSessionRepository
internal import LinkSessions

struct Trigger: Command {
    enum Outcome: String, ExpressibleByArgument, CaseIterable {
        case completed, confirmed, declined
        case supplierFailed = "supplier_failed"
        case expired, abandoned

        /// Nothing but its time ends the session.
        var staysOpen: Bool { [.declined, .supplierFailed, .abandoned].contains(self) }

        /// The types of the session's events, in order.
        fileprivate var events: [FeedEvent.Kind] {
            switch self {
            case .completed: [.opened, .completed]
            case .confirmed: [.opened, .completed, .confirmed]
            case .declined, .supplierFailed: [.opened, .signInFailed]
            case .expired: [.opened, .expired]
            case .abandoned: [.opened]
            }
        }
    }

    static let configuration = CommandConfiguration(
        abstract: "Play a link session's whole life in a sandbox, and print the events that come of it.",
        discussion: """
            Creates a session by the API with a test key, opens its link_url, and does there what a browser does whose \
            user chooses Sandbox Energy. Needs a service that has this supplier (SANDBOX_SIGNING_KEY), and so never \
            one in production. Nothing opens the redirect URL. Exits 1 where something else came of it.

            completed        the user signed in and confirmed; the signed result is verified
            confirmed        and the backend confirmed whose session it was
            declined         the user declined at the supplier; the session stays open
            supplier_failed  the supplier answered with an error; the session stays open
            expired          the manufacturer ended the session before its time
            abandoned        the user opened the page, and did nothing more

            A session that stays open expires ten minutes after it was created: --wait waits for that.
            """)

    @OptionGroup var apiOptions: APIOptions
    @Argument(help: "What comes of the session.") var outcome: Outcome
    @Option(help: "The manufacturer's id of its user.") var userID = "trigger-user"
    @Option(help: "A redirect URL that the manufacturer has registered.")
    var redirectURL = "https://your-app.com/callback"
    @Flag(help: "Wait until the time of a session that stays open is over.") var wait = false

    func perform() async throws {
        guard !wait || outcome.staysOpen else {
            throw CommandError.argument(
                "--wait", expects: "an outcome that leaves the session open: declined, supplier_failed or abandoned")
        }
        _ = try ManufacturerUserID(userID, for: "--user-id")
        let api = try apiOptions.api()
        guard APIKey.isWellFormed(api.key, in: .test) else {
            throw CommandError(
                "trigger plays sessions in a sandbox alone, and the key is one of production (nox_live_): use a test key",
                exitCode: 64)
        }
        do {
            try await play(SessionPlay(api: api))
        } catch let error as ManufacturerAPIError {
            throw error.commandError
        }
    }

    private func play(_ session: SessionPlay) async throws {
        try await session.requireSandbox()
        let created = try await session.create(userID: userID, redirectURL: redirectURL)
        try put("created      \(created.id), open until \(timestamp(unixSeconds: created.expiresAt))")
        var browser = try SandboxBrowser(linkURL: created.linkURL, token: created.token)
        try await browser.open()
        try put("opened       link_url")
        switch outcome {
        case .completed, .confirmed:
            let signIn = try await browser.signIn(answer: ("code", "approve"), expected: "confirm")
            try put("signed in    at Sandbox Energy")
            let back = try await browser.confirm(signIn)
            let result = try await session.verified(back)
            guard result.status == "completed", result.userID == userID else {
                throw CommandError("the signed result is another session's, or says \(result.status)")
            }
            try put("completed    the way back has a signed result, which verifies")
            if outcome == .confirmed {
                try await session.confirm(created.id, userID: userID, code: result.code)
                try put("confirmed    as the user \(DisplayText.escaped(userID))")
            }
        case .declined:
            _ = try await browser.signIn(answer: ("error", "access_denied"), expected: "failed")
            try put("declined     at Sandbox Energy")
        case .supplierFailed:
            _ = try await browser.signIn(answer: ("error", "server_error"), expected: "failed")
            try put("failed       at Sandbox Energy")
        case .expired:
            try await session.expire(created.id)
            try put("expired      by the manufacturer")
        case .abandoned:
            try put("abandoned    nothing more happens")
        }
        if wait {
            try put("waiting      until its time is over")
            try await session.waitForEnd(created.id)
        }
        try await verify(created.id, session)
    }

    private func verify(_ id: String, _ session: SessionPlay) async throws {
        let expected = (outcome.events + (wait ? [.expired] : [])).map(\.type)
        let events = try await session.events(of: id, count: expected.count)
        for event in events {
            let reason = event.data.reason.map { "  (\(DisplayText.escaped($0)))" } ?? ""
            try put("event        \(DisplayText.escaped(event.id))  \(DisplayText.escaped(event.type))\(reason)")
        }
        guard events.map(\.type) == expected else {
            throw CommandError("other events were expected: \(expected.joined(separator: ", "))")
        }
        let status = try await session.status(of: id)
        let end =
            switch outcome {
            case .completed, .confirmed: "completed"
            case .expired: "expired"
            case .declined, .supplierFailed, .abandoned: wait ? "expired" : "open"
            }
        try put("status       \(DisplayText.escaped(status))")
        guard status == end else { throw CommandError("the session should be \(end)") }
    }
}
