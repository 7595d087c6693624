/// How much a server has to do at this moment.
package struct HTTPServerStatistics: Sendable {
    /// Requests that are not answered yet, but for those that wait for something to happen.
    package let activeRequests: Int
    package let connections: Int
    /// What the connections take of ``places``.
    package let placesTaken: Int
    package let places: Int
}
