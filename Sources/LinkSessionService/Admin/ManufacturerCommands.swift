// Commands that add manufacturers, take them offline and back.

internal import ArgumentParser
internal import LinkSessionRepository
internal import LinkSessions

struct AddManufacturer: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Add a manufacturer.")

    @Option(help: "As its users know it; unique.") var name: String
    @Option(help: "Its brand, if that is not its name: answers carry it title-cased.") var brand: String?
    @Option(name: .customLong("redirect-url"), help: "Where it may send its users back to; repeatable.")
    var redirectURLs: [String] = []
    @Flag(help: "It may send its users to ANY well-formed URL.") var unrestricted = false
    @OptionGroup var migration: ChangeOptions

    func run() async throws {
        try await reportingFailures {
            guard unrestricted == redirectURLs.isEmpty else {
                throw ArgumentError(
                    "add-manufacturer", expects: "either --redirect-url, once or more, or --unrestricted")
            }
            var urls: [RedirectURL] = []
            for url in redirectURLs { urls.append(try RedirectURL(toRegister: url, for: "--redirect-url")) }
            guard Set(urls.map(\.text)).count == urls.count else {
                throw ArgumentError("--redirect-url", expects: "each URL once")
            }
            try await migration.write(
                try .addManufacturer(
                    name: try DisplayText(name, for: "--name"),
                    brand: try brand.map { try DisplayText(brand: $0, for: "--brand") },
                    redirectURLs: unrestricted ? nil : urls))
        }
    }
}

struct Enable: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Enable a disabled manufacturer: its keys work again.")

    @Argument(help: "The manufacturer's name.") var manufacturer: String
    @OptionGroup var migration: ChangeOptions

    func run() async throws {
        try await reportingFailures {
            try await migration.write(
                try .setEnabled(manufacturer: try DisplayText(manufacturer, for: "MANUFACTURER"), true))
        }
    }
}

struct Disable: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Disable a manufacturer: none of its keys works any more.")

    @Argument(help: "The manufacturer's name.") var manufacturer: String
    @OptionGroup var migration: ChangeOptions

    func run() async throws {
        try await reportingFailures {
            try await migration.write(
                try .setEnabled(manufacturer: try DisplayText(manufacturer, for: "MANUFACTURER"), false))
        }
    }
}
