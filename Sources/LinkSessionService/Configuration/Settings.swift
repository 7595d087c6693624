// Where settings come from: options, the environment and files.

internal import Configuration
internal import LinkSessions

/// The sources, the first that has a setting decides; a wrong or missing setting stops the command with a line that
/// names it.
struct Settings: Sendable {
    static let list = SettingList()

    let isProduction: Bool
    private let reader: ConfigReader

    /// Reads the sources, not yet the values: each command asks for those that it needs.
    init(_ options: [OptionValue] = []) async throws(SettingError) {
        let environment = EnvironmentVariablesProvider()
        let named = Settings(
            isProduction: false,
            reader: ConfigReader(providers: [
                environment, InMemoryProvider(values: ["link.session.env": "local"]),
            ]))
        let name = try named.read(\.environment)
        // Read as the environment would be.
        let variables = Dictionary(options.map { ($0.variable, $0.text) }) { $1 }
        self.init(
            isProduction: name == .production,
            reader: ConfigReader(providers: [
                EnvironmentVariablesProvider(environmentVariables: variables), environment,
                try await Self.file("config/\(name.rawValue).json"), try await Self.file("config/base.json"),
            ]))
    }

    private init(isProduction: Bool, reader: ConfigReader) {
        self.isProduction = isProduction
        self.reader = reader
    }

    private static func file(_ path: String) async throws(SettingError) -> any ConfigProvider {
        do {
            return try await FileProvider<JSONSnapshot>(
                config: ConfigReader(
                    provider: InMemoryProvider(values: ["filePath": ConfigValue(.string(path), isSecret: false)])))
        } catch {
            throw SettingError(
                line: "\(path) cannot be read as JSON; config/ is expected in the working directory")
        }
    }

    func read<Value>(_ setting: KeyPath<SettingList, Setting<Value>>) throws(SettingError) -> Value {
        try Self.list[keyPath: setting].read(reader, self)
    }

    /// Which API keys are made and accepted.
    var keyEnvironment: APIKey.Environment { isProduction ? .live : .test }
}
