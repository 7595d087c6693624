// What the admin commands that report share.

internal import ArgumentParser
internal import LinkSessionRepository

struct ReportOptions: ParsableArguments {
    @Flag(help: "JSON, for programs; times are Unix seconds.") var json = false

    func repository() async throws -> AdminRepository {
        AdminRepository(address: try await Settings().read(\.database))
    }
}
