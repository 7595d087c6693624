// The settings stand once, in the program's list: help, options and documentation agree with it.

import Foundation
@testable import LinkSessionService
import TestSupport
import Testing

@Suite struct SettingListTests {
    private let settings = SettingList().descriptions

    @Test func `the documentation has a row for every setting, and none besides`() throws {
        let file = TestEnvironment.projectDirectory.appending(path: "docs/configuration.md")
        let rows = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
            .filter { $0.hasPrefix("| `") }
            .map { $0.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) } }
        #expect(rows.map { $0[0] }.sorted() == settings.map { "`\($0.variable)`" }.sorted())
        for row in rows {
            let setting = try #require(settings.first { "`\($0.variable)`" == row[0] })
            #expect(
                (row.last == "`\(setting.fileVariable)`") == setting.isSecret,
                "\(setting.variable) can be in a file where it is a secret")
        }
    }

    @Test func `every setting has a name of its own, a purpose and an expectation`() {
        #expect(settings.count == 28)
        #expect(Set(settings.map(\.variable)).count == settings.count)
        for setting in settings {
            #expect(!setting.help.isEmpty && !setting.expectation.isEmpty, "\(setting.variable)")
        }
    }

    @Test func `every setting is in the help, and has an option unless it is secret or of the environment alone`()
        async throws
    {
        let help = try await Command.run(["--help"], directory: URL(filePath: "/")).output
        let options = try await Command.run(["serve", "--help"], directory: URL(filePath: "/")).output
        for setting in settings {
            let heading = setting.isSecret ? "\(setting.variable), or \(setting.fileVariable)" : setting.variable
            #expect(help.contains("\n\(heading)\n    "), "\(setting.variable)")
            #expect(
                options.contains("--\(setting.option) ") == !(setting.isSecret || setting.key == "link.session.env"),
                "\(setting.variable)")
        }
    }
}
