internal import ArgumentParser
internal import Foundation
internal import LinkSessionRepository

/// A command that prints what the database holds, for people or for programs.
protocol ReportCommand: Command {
    var options: ReportOptions { get }

    func report(from repository: AdminRepository) async throws -> Report
}

struct ReportOptions: ParsableArguments {
    @Flag(help: "JSON, for programs; times are Unix seconds.") var json = false
}

extension ReportCommand {
    func perform() async throws {
        let report = try await report(from: AdminRepository(address: try await Settings().operatorAddress))
        print(options.json ? try report.json.text : report.text)
        if let failure = report.failure { throw failure }
    }
}

struct Report {
    let text: String
    let json: JSONMembers
    /// Why the command is no success although there is something to print.
    var failure: CommandError?
}

extension Report {
    /// One after the other; in JSON an array of that name.
    init(_ name: String, _ reports: [Report]) {
        let none = "no \(name.replacing("_", with: " "))"
        text = reports.isEmpty ? none : reports.map(\.text).joined(separator: "\n\n")
        json = [name: reports.map(\.json)]
    }
}

/// A JSON object. Unlike with members of a type of its own, what is `nil` is written, as null.
struct JSONMembers: Encodable, ExpressibleByDictionaryLiteral {
    private struct Member: Encodable {
        let value: any Encodable

        func encode(to encoder: any Encoder) throws { try value.encode(to: encoder) }
    }

    private var members: [String: Member]

    init(dictionaryLiteral members: (String, any Encodable)...) {
        self.members = Dictionary(uniqueKeysWithValues: members.map { ($0, Member(value: $1)) })
    }

    func encode(to encoder: any Encoder) throws { try members.encode(to: encoder) }

    /// With another member.
    func adding(_ name: String, _ value: any Encodable) -> JSONMembers {
        var all = self
        all.members[name] = Member(value: value)
        return all
    }

    var text: String {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            return String(decoding: try encoder.encode(self), as: UTF8.self)
        }
    }
}

/// RFC 3339 in UTC.
func timestamp(unixSeconds: Int64) -> String { Date(timeIntervalSince1970: Double(unixSeconds)).ISO8601Format() }

/// Columns two blanks apart, as wide as their widest entry.
func table(_ rows: [[String]]) -> String {
    let widths = (rows.first ?? []).indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
        let cells = zip(row, widths).map { text, width in text + String(repeating: " ", count: width - text.count) }
        let line = "  " + cells.joined(separator: "  ")
        return String(line.reversed().drop { $0 == " " }.reversed())
    }.joined(separator: "\n")
}
