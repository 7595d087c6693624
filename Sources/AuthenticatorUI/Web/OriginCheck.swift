// The origin check: a form counts only where a page of ours sent it.

internal import HTTPServer
internal import NIOHTTP1

/// Tells requests of our own pages from those that another site's page makes in the same browser (Fetch Metadata,
/// section 2.3; RFC 6454, section 7).
struct OriginCheck: Sendable {
    private let origin: String

    init(publicBaseURL: String) {
        let lower = publicBaseURL.lowercased()
        let port = lower.hasPrefix("https:") ? ":443" : ":80"
        origin = lower.hasSuffix(port) ? String(lower.dropLast(port.count)) : lower
    }

    /// `Sec-Fetch-Site` decides where it is sent, since no page can set it; `Origin` elsewhere. A request with neither
    /// is not ours.
    func isOwn(_ request: Request) -> Bool {
        let sites = request.headers["sec-fetch-site"]
        if !sites.isEmpty { return sites == ["same-origin"] }
        return request.headers["origin"] == [origin]
    }
}
