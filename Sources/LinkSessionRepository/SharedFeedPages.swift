import LinkSessions
internal import Synchronization

/// Looks at the feed that are under way, for all who want what they find.
final class SharedFeedPages: Sendable {
    struct Key: Hashable {
        let manufacturer: Manufacturer.ID
        let after: FeedPosition
        let kinds: Set<FeedEvent.Kind>?
        let limit: Int
        /// By whom it may be shared: what a look finds is not for those that were woken after it began.
        let look: Int
    }

    private typealias Look = Task<Result<FeedPage, RepositoryError>, Never>

    private let underWay = Mutex<[Key: Look]>([:])

    func page(
        _ key: Key, look: @escaping @Sendable () async throws(RepositoryError) -> FeedPage
    ) async throws(RepositoryError) -> FeedPage {
        let shared = underWay.withLock { underWay in
            if let look = underWay[key] { return look }
            let new = Look { [self] in
                let result: Result<FeedPage, RepositoryError>
                do throws(RepositoryError) { result = .success(try await look()) } catch { result = .failure(error) }
                self.underWay.withLock { $0[key] = nil }
                return result
            }
            underWay[key] = new
            return new
        }
        return try await shared.value.get()
    }
}
