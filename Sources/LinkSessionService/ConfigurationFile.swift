// config/*.json as values for swift-configuration.

internal import Configuration

#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#else
    internal import Foundation
#endif

/// A JSON object of strings, whole numbers, arrays of strings, and objects of these.
///
/// The library's own reader of JSON files needs all of Foundation, which would double the size of the program.
enum ConfigurationFile {
    /// `{"http": {"port": 8080}}` becomes `http.port`.
    static func values(in path: String) throws -> [AbsoluteConfigKey: ConfigValue] {
        let root = try JSONDecoder().decode([String: Node].self, from: Data(contentsOf: URL(filePath: path)))
        var values: [AbsoluteConfigKey: ConfigValue] = [:]
        func add(_ node: Node, at components: [String]) {
            switch node {
            case .value(let content):
                values[AbsoluteConfigKey(components)] = ConfigValue(content, isSecret: false)
            case .object(let members):
                for (name, member) in members { add(member, at: components + [name]) }
            }
        }
        add(.object(root), at: [])
        return values
    }

    private indirect enum Node: Decodable {
        case value(ConfigContent)
        case object([String: Node])

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let number = try? container.decode(Int.self) {
                self = .value(.int(number))
            } else if let text = try? container.decode(String.self) {
                self = .value(.string(text))
            } else if let texts = try? container.decode([String].self) {
                self = .value(.stringArray(texts))
            } else {
                self = .object(try container.decode([String: Node].self))
            }
        }
    }
}
