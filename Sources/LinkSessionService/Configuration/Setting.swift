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

    /// For a secret: the variable that names a file which holds it.
    var fileVariable: String { variable + "_FILE" }

    /// Its name on the command line, such as `http-port`.
    var option: String { key.replacing(".", with: "-") }
}

protocol AnySetting: Sendable {
    var description: SettingDescription { get }
}

/// One setting: what is said of it, and how its value is made.
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
    ///
    /// - Parameter fallback: the value where there is none; `nil` where the setting is required.
    static func text(
        _ key: String, help: String, expects expectation: String, isSecret: Bool = false, orElse fallback: Value? = nil,
        parse: @escaping Parser<String>
    ) -> Setting {
        Setting(key, help, expectation, isSecret, fallback, parse) { reader in
            reader.text(key, isSecret: isSecret)
        }
    }

    /// Texts, comma-separated in the environment and an array in a file; one at least, unless there is a fallback.
    static func list(
        _ key: String, help: String, expects expectation: String, isSecret: Bool = false, orElse fallback: Value? = nil,
        parse: @escaping Parser<[String]>
    ) -> Setting {
        Setting(key, help, expectation, isSecret, fallback, parse) { reader in
            reader.texts(key, isSecret: isSecret)
        }
    }

    private init<Content>(
        _ key: String, _ help: String, _ expectation: String, _ isSecret: Bool, _ fallback: Value?,
        _ parse: @escaping Parser<Content>, find: @escaping @Sendable (ConfigReader) -> Content?
    ) {
        let description = SettingDescription(key: key, help: help, expectation: expectation, isSecret: isSecret)
        self.description = description
        read = { reader, settings throws(CommandError) in
            let content = find(isSecret ? try reader.withSecret(of: description) : reader)
            if content == nil, let fallback { return fallback }
            guard let content,
                let value = try parse(FoundValue(content: content, settings: settings, setting: description))
            else { throw CommandError.setting(description.variable, expects: expectation) }
            return value
        }
    }
}

extension ConfigReader {
    /// `nil` where it is unset or empty.
    func text(_ key: String, isSecret: Bool) -> String? {
        string(forKey: ConfigKey(key), isSecret: isSecret).flatMap { $0.isEmpty ? nil : $0 }
    }

    func texts(_ key: String, isSecret: Bool) -> [String]? {
        stringArray(forKey: ConfigKey(key), isSecret: isSecret).flatMap { $0.isEmpty ? nil : $0 }
    }
}

extension FoundValue<[String]> {
    /// A value of each text; `nil` where one of them is none.
    func each<Value>(_ parse: (String) -> Value?) -> [Value]? {
        let values = content.compactMap(parse)
        return values.count == content.count ? values : nil
    }
}

extension Setting<Int> {
    static func number(
        _ key: String, _ range: ClosedRange<Int>, help: String,
        parse: @escaping Parser<Int> = { $0.content }
    ) -> Setting {
        let expectation = "a whole number from \(range.lowerBound) to \(range.upperBound)"
        return Setting(key, help, expectation, false, nil, parse) { reader in
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
