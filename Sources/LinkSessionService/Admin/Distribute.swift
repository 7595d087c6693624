internal import ArgumentParser
internal import LinkSessionRepository

struct Distribute: Command {
    /// A session's shard is one of as many numbers.
    private static let shards = 1...256

    static let configuration = CommandConfiguration(
        abstract: "Spread link sessions over the workers of a Citus cluster, once.",
        discussion: """
            DATABASE_URL names the coordinator, and the owner of the tables. Sessions, their events and their sign-ins \
            are distributed by shard, NOX users by user id; manufacturers, keys and suppliers stay on the coordinator. \
            Rows that are there move along, and whoever writes meanwhile waits. All or nothing.
            """)

    @Option(help: "Over how many shards, 1 to 256: at least as many as there will ever be workers.") var shards = 32

    func perform() async throws {
        guard Self.shards.contains(shards) else { throw CommandError.argument("--shards", expects: "1 to 256") }
        let distributed = try await AdminRepository(address: try await Settings().database).distribute(shards: shards)
        for table in DistributedTable.allCases {
            print(
                distributed.contains(table) ? "distributed by \(table.column)" : "already distributed",
                table.rawValue, separator: "  ")
        }
    }
}
