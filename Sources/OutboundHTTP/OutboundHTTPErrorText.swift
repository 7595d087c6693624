internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import NIOSSL

extension OutboundHTTPError {
    /// Why there was no answer, for people: what ``OutboundHTTPClient`` throws, without the URL.
    package static func text(of error: any Error) -> String {
        switch error {
        case let error as OutboundHTTPError:
            switch error {
            case .invalidURL: "the URL is invalid"
            case .nameUnknown: "the name has no address"
            case .addressNotPublic: "the address is not public"
            case .timedOut: "no answer in time"
            case .tooManyRequests: "too many requests are under way"
            case .closed: "the connection ended before the answer"
            }
        case let error as NIOConnectionError:
            error.connectionErrors.allSatisfy { ($0.error as? IOError)?.errnoCode == ECONNREFUSED }
                ? "nothing listens there" : "no connection"
        case is ChannelError, is IOError: "no connection"
        case is NIOSSLError, is BoringSSLError, is NIOSSLExtraError:
            "no connection by TLS: the certificate is not trusted, or is another host's"
        case is NIOHTTPObjectAggregatorError: "the answer is too large"
        case is HTTPParserError: "the answer is no HTTP"
        default: "\(type(of: error))"
        }
    }
}
