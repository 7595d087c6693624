// What is known of a request while it is answered.

internal import Hummingbird
internal import LinkSessions
internal import Synchronization

struct ServiceRequestContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let record = RequestRecord()
    /// Set before any handler sees the request.
    var requestID = ""

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
    }
}

/// What a handler finds out and the log wants to know.
final class RequestRecord: Sendable {
    private let manufacturer = Mutex<Manufacturer.ID?>(nil)

    var manufacturerID: Manufacturer.ID? {
        get { manufacturer.withLock { $0 } }
        set { manufacturer.withLock { $0 = newValue } }
    }
}
