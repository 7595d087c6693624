// One setting: its name, what it is for, what it expects, and how its value is made.

internal import Configuration

/// What help, refusals and documentation say of a setting.
struct SettingDescription: Sendable {
    /// Its name in the configuration files, such as `http.port`.
    let key: String
    /// What it is for: part of a sentence.
    let help: String
    /// Completes "HTTP_PORT expects …".
    let expectation: String
    /// Its value is shown nowhere, and it has no option: others can list a process's arguments.
    let isSecret: Bool

    /// Its name in the environment, such as `HTTP_PORT`.
    var variable: String { key.replacing(".", with: "_").uppercased() }

    /// Its name on the command line, such as `http-port`.
    var option: String { key.replacing(".", with: "-") }
}

protocol AnySetting: Sendable {
    var description: SettingDescription { get }
}

struct Setting<Value: Sendable>: AnySetting {
    let description: SettingDescription
    let read: @Sendable (ConfigReader, Settings) throws(CommandError) -> Value
}

/// What a setting's parser gets: what the sources hold, and the other settings.
struct FoundValue<Content> {
    let content: Content
    let settings: Settings
    fileprivate let setting: SettingDescription

    /// For a value that breaks a rule of its own.
    func error(expects expectation: String) -> CommandError {
        .setting(setting.variable, expects: expectation)
    }
}

extension Setting {
    /// A parser returns `nil` where the value is not what the setting expects.
    typealias Parser<Content> = @Sendable (FoundValue<Content>) throws(CommandError) -> Value?

    /// A text that is not empty.
    static func text(
        _ key: String, help: String, expects expectation: String, isSecret: Bool = false,
        parse: @escaping Parser<String>
    ) -> Setting {
        required(key, help, expectation, isSecret, parse) { reader in
            reader.string(forKey: ConfigKey(key), isSecret: isSecret).flatMap { $0.isEmpty ? nil : $0 }
        }
    }

    /// Texts, comma-separated in the environment and an array in a file; one at least.
    static func list(
        _ key: String, help: String, expects expectation: String, isSecret: Bool = false,
        parse: @escaping Parser<[String]>
    ) -> Setting {
        required(key, help, expectation, isSecret, parse) { reader in
            reader.stringArray(forKey: ConfigKey(key), isSecret: isSecret).flatMap { $0.isEmpty ? nil : $0 }
        }
    }

    /// A text whose absence, or an empty one, means `nil`.
    static func optionalText<Wrapped>(
        _ key: String, help: String, expects expectation: String, isSecret: Bool = false,
        parse: @escaping Setting<Wrapped>.Parser<String>
    ) -> Setting where Value == Wrapped? {
        let setting = Setting<Wrapped>.text(key, help: help, expects: expectation, isSecret: isSecret, parse: parse)
        return Setting(description: setting.description) { reader, settings throws(CommandError) in
            guard reader.string(forKey: ConfigKey(key), isSecret: isSecret)?.isEmpty == false else { return nil }
            return try setting.read(reader, settings)
        }
    }

    private static func required<Content>(
        _ key: String, _ help: String, _ expectation: String, _ isSecret: Bool, _ parse: @escaping Parser<Content>,
        find: @escaping @Sendable (ConfigReader) -> Content?
    ) -> Setting {
        let description = SettingDescription(key: key, help: help, expectation: expectation, isSecret: isSecret)
        return Setting(description: description) { reader, settings throws(CommandError) in
            guard let content = find(reader),
                let value = try parse(FoundValue(content: content, settings: settings, setting: description))
            else { throw CommandError.setting(description.variable, expects: expectation) }
            return value
        }
    }
}

extension Setting<Int> {
    static func number(
        _ key: String, _ range: ClosedRange<Int>, help: String,
        parse: @escaping Parser<Int> = { $0.content }
    ) -> Setting {
        let expectation = "a whole number from \(range.lowerBound) to \(range.upperBound)"
        return required(key, help, expectation, false, parse) { reader in
            // `int` would pass over a text that is no number.
            (try? reader.requiredInt(forKey: ConfigKey(key))).flatMap { range.contains($0) ? $0 : nil }
        }
    }
}

extension Setting where Value: RawRepresentable, Value.RawValue == String {
    /// One of a few words.
    static func choice(_ key: String, help: String, expects expectation: String) -> Setting {
        text(key, help: help, expects: expectation) { Value(rawValue: $0.content) }
    }
}
