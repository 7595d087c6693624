// Sandbox Energy: the supplier for integrators, whose page and callback are our own.

internal import HTTPServer
internal import LinkSessionRepository
internal import LinkSessions
internal import TokenGenerator

extension AuthenticatorUI {
    /// The sandbox supplier's page, with a button for every outcome.
    @Sendable func showSandbox(_ request: PageRequest) async throws -> Response {
        guard let state = request.query["state"],
            let (signIn, snapshot) = try await find(SHA256.digest(of: state), request),
            signIn.supplier == .sandbox, try await usableSupplier(.sandbox, request) != nil
        else { return unknownPage(request) }
        var page = Page("sandbox", ["state": state, "brand": snapshot.session.displayName])
        page.back = snapshot.session.redirectURL.text
        page.url = { PageURL.sandbox(state: state, $0) }
        return pages.response(page, in: request.chosenLanguage ?? signIn.language)
    }

    /// What the chosen button's callback comes to.
    func evaluateSandbox(_ query: FormFields) -> CallbackResult {
        if let result = CallbackResult(error: query["error"]) { return result }
        guard let code = query["code"], ["approve", "late"].contains(code),
            let identity = SupplierIdentity(supplier: .sandbox, userID: "sandbox-user")
        else { return .failed(.codeRefused) }
        let account = MaskedAccount.text(email: nil, name: nil, subject: identity.userID)
        return CallbackResult(outcome: .signedIn(identity, account: account), isLate: code == "late")
    }
}
