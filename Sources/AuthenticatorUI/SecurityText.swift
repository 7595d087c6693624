// /.well-known/security.txt: where to report a vulnerability.

internal import Foundation
internal import HTTPServer
internal import NIOHTTP1

/// RFC 9116.
enum SecurityText {
    /// Less than the year that section 2.5.5 recommends at most.
    private static let lifetime: TimeInterval = 180 * 86_400

    static func response(_ publicBaseURL: String) -> Response {
        let day = (Date().timeIntervalSince1970 / 86_400).rounded(.down) * 86_400
        let expires = Date(timeIntervalSince1970: day + lifetime).formatted(.iso8601)
        let text = """
            Contact: mailto:security@nox.energy
            Expires: \(expires)
            Preferred-Languages: en, nl, fr, es
            Canonical: \(publicBaseURL)/.well-known/security.txt

            """
        return Response(
            status: .ok,
            headers: [
                "content-type": "text/plain; charset=utf-8", "cache-control": "public, max-age=86400",
            ], body: Array(text.utf8))
    }
}
