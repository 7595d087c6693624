/// What a ``DatabaseClient`` has to do at this moment, and what it had to since it started.
package struct DatabaseStatistics: Sendable {
    /// The name that the server has of its connections.
    package let name: String
    package let connections: Int
    /// How many of these are made.
    package let connected: Int
    /// So often one was made.
    package let connects: Int
    /// So often one could not be made.
    package let failedConnects: Int
    package let queues: [QueueStatistics]
}

package struct QueueStatistics: Sendable {
    package let serviceClass: ServiceClass
    package let waiting: Int
    /// When the query came that waits longest.
    package let oldest: ContinuousClock.Instant?
    /// Queries that found too many waiting.
    package let refused: Int
    /// Queries whose time was over before a connection took them.
    package let expired: Int
}
