internal import Configuration
internal import Foundation

/// Every secret can be in a file, as orchestrators mount them: where X is secret, X_FILE names one that holds it.
extension ConfigReader {
    /// A reader that has the secret, wherever that is.
    func withSecret(of setting: SettingDescription) throws(CommandError) -> ConfigReader {
        // In a configuration file it may be an array.
        let given = text(setting.key, isSecret: true).map { [$0] } ?? texts(setting.key, isSecret: true) ?? []
        guard let path = text(setting.key + ".file", isSecret: false) else {
            for text in given { try requireNoControlCharacter(in: text, of: setting.variable) }
            return self
        }
        guard given.isEmpty else { throw .bothGiven(setting.variable) }
        let secret = try secret(ofFile: path, for: setting.variable)
        return ConfigReader(provider: EnvironmentVariablesProvider(environmentVariables: [setting.variable: secret]))
    }
}

/// The client secrets of suppliers, by the names that the suppliers' rows give them.
func supplierSecrets(in environment: [String: String]) throws(CommandError) -> [String: String] {
    var secrets: [String: String] = [:]
    for (variable, value) in environment where variable.hasPrefix("SUPPLIER_") && !value.isEmpty {
        guard variable.hasSuffix(fileSuffix) else {
            try requireNoControlCharacter(in: value, of: variable)
            secrets[variable] = value
            continue
        }
        let name = String(variable.dropLast(fileSuffix.count))
        guard environment[name] ?? "" == "" else { throw .bothGiven(name) }
        secrets[name] = try secret(ofFile: value, for: name)
    }
    return secrets
}

/// A secret that is no setting of the service's: of the environment, or in the file that a variable names.
func secret(_ variable: String) throws(CommandError) -> String? {
    let given = environmentVariable(variable)
    guard let path = environmentVariable(variable + fileSuffix) else {
        if let given { try requireNoControlCharacter(in: given, of: variable) }
        return given
    }
    guard given == nil else { throw .bothGiven(variable) }
    return try secret(ofFile: path, for: variable)
}

private let fileSuffix = "_FILE"

/// One line break at a file's end is not part of the secret: editors leave one.
private func secret(ofFile path: String, for variable: String) throws(CommandError) -> String {
    let most = 65_536
    var text: String?
    if let file = FileHandle(forReadingAtPath: path), let data = try? file.read(upToCount: most + 1) ?? Data(),
        data.count <= most
    {
        text = String(validating: data, as: UTF8.self)
    }
    guard var text else {
        // The path is not repeated: it may be the secret, in the wrong place.
        throw .setting(variable + fileSuffix, expects: "the path of a readable file, UTF-8, at most 64 KiB")
    }
    if text.unicodeScalars.last == "\n" { text.unicodeScalars.removeLast() }
    if text.unicodeScalars.last == "\r" { text.unicodeScalars.removeLast() }
    guard !text.isEmpty else {
        throw .setting(variable + fileSuffix, expects: "a file that holds the secret, not an empty one")
    }
    try requireNoControlCharacter(in: text, of: variable + fileSuffix)
    return text
}

/// What was pasted with a line break is no secret that anybody else has.
private func requireNoControlCharacter(in text: String, of variable: String) throws(CommandError) {
    guard !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
        throw .setting(
            variable, expects: "a secret without control characters, such as a line break in it or a second line")
    }
}

extension CommandError {
    fileprivate static func bothGiven(_ variable: String) -> CommandError {
        CommandError(
            "\(variable) and \(variable)\(fileSuffix) are both set, and only one of them is meant: unset the other")
    }
}
