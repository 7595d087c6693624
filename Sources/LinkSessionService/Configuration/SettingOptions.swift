// Settings on the command line, where they stand above the environment and the files.

internal import ArgumentParser

/// A setting's value as the environment would give it, so that one parser reads both.
struct OptionValue: Sendable {
    let variable: String
    let text: String
}

extension Option where Value == OptionValue? {
    /// The option of a setting, with its name and its help.
    init<Setting: AnySetting>(_ setting: KeyPath<SettingList, Setting>) {
        let description = Settings.list[keyPath: setting].description
        let variable = description.variable
        self.init(
            name: .customLong(description.option),
            help: ArgumentHelp("\(variable): \(description.help)."),
            transform: { (text: String) -> OptionValue in OptionValue(variable: variable, text: text) })
    }
}

protocol SettingOptions: ParsableArguments {}

extension SettingOptions {
    /// Those that were given.
    var values: [OptionValue] {
        Mirror(reflecting: self).children.flatMap { child -> [OptionValue] in
            switch child.value {
            case let option as Option<OptionValue?>: option.wrappedValue.map { [$0] } ?? []
            case let group as OptionGroup<MigrationOptions>: group.wrappedValue.values
            default: []
            }
        }
    }
}

/// The one option of commands that neither serve nor ask who does.
struct MigrationOptions: SettingOptions {
    @Option(\.migrationDirectories) var migrationDirectories: OptionValue?
}

/// Every setting that is no secret.
struct ServiceOptions: SettingOptions {
    @Option(\.httpHost) var httpHost: OptionValue?
    @Option(\.httpPort) var httpPort: OptionValue?
    @Option(\.httpIdleSeconds) var httpIdleSeconds: OptionValue?
    @Option(\.publicBaseURL) var publicBaseURL: OptionValue?
    @Option(\.databaseConnections) var databaseConnections: OptionValue?
    @OptionGroup var migrations: MigrationOptions
    @Option(\.retentionDays) var retentionDays: OptionValue?
    @Option(\.logLevel) var logLevel: OptionValue?
    @Option(\.logFormat) var logFormat: OptionValue?
    @Option(\.shutdownDelay) var shutdownDelay: OptionValue?
    @Option(\.shutdownGrace) var shutdownGrace: OptionValue?
}
