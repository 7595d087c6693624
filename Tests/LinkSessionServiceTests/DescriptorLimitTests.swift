// How many files the process may open decides how many connections there may be.

import Foundation
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite struct DescriptorLimitTests {
        @Test func `a soft limit is raised as far as the hard one lets it, and only what is too low is said`()
            async throws
        {
            try await serving(after: "ulimit -S -n 256") { service in
                let limits = try String(contentsOfFile: "/proc/\(service.processID)/limits", encoding: .utf8)
                let line = try #require(limits.split(separator: "\n").first { $0.hasPrefix("Max open files") })
                let numbers = line.split(separator: " ").compactMap { Int($0) }
                try #require(numbers.count == 2, "\(line)")
                #expect(numbers[0] == min(numbers[1], 65_536))
                #expect(warnings(in: service).count == (numbers[1] < 11_024 ? 1 : 0), "\(service.log)")
            }
        }

        @Test func `a hard limit that costs connections is said in one line, with both numbers`() async throws {
            for (descriptors, connections) in [(2000, 976), (256, 64)] {
                try await serving(after: "ulimit -n \(descriptors)") { service in
                    let warnings = warnings(in: service)
                    #expect(warnings.count == 1, "\(service.log)")
                    let numbers = "connections=\(connections) descriptors=\(descriptors)"
                    #expect(warnings.first?.hasSuffix(numbers) == true, "\(service.log)")
                }
            }
        }

        @Test func `with too few descriptors to serve the start is refused`() async throws {
            try await TestDatabase.with { database in
                for limit in [100, 255] {
                    let service = try ServiceProcess(
                        ["serve"], environment: Service.environment(of: database), shell: "ulimit -n \(limit)")
                    defer { service.send(SIGKILL) }
                    #expect(try await service.waitForExit(within: 10) == 1, "\(limit)")
                    #expect(service.log.contains("the process may open \(limit) files"), "\(service.log)")
                    #expect(!service.log.contains("listening"))
                }
            }
        }

        private func serving(after shell: String, _ body: (ServiceProcess) throws -> Void) async throws {
            try await TestDatabase.with { database in
                let service = try ServiceProcess(
                    ["serve"], environment: Service.environment(of: database), shell: shell)
                defer { service.send(SIGKILL) }
                try await service.waitUntilListening()
                try body(service)
            }
        }

        private func warnings(in service: ServiceProcess) -> [Substring] {
            service.log.split(separator: "\n").filter { $0.contains(" warning ") }
        }
    }
}
