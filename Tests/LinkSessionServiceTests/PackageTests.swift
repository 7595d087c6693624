// What the program is built from.

import Foundation
import TestSupport
import Testing

@Suite struct PackageTests {
    private struct Resolved: Decodable {
        struct Pin: Decodable {
            struct State: Decodable { let version: String? }
            let identity: String
            let state: State
        }
        let pins: [Pin]

        init() throws {
            let file = TestEnvironment.projectDirectory.appending(path: "Package.resolved")
            self = try JSONDecoder().decode(Self.self, from: Data(contentsOf: file))
        }
    }

    /// CycloneDX 1.6, as far as it is used.
    private struct BillOfMaterials: Decodable {
        struct Component: Decodable {
            struct Licence: Decodable {
                struct Named: Decodable {
                    let id: String?
                    let name: String?
                }
                let license: Named?
                let expression: String?

                var text: String? { expression ?? license?.id ?? license?.name }
            }
            enum CodingKeys: String, CodingKey {
                case type, name, version, purl, licenses
                case reference = "bom-ref"
            }
            let type: String
            let name: String
            let version: String
            let purl: String
            let reference: String
            let licenses: [Licence]?
        }
        struct Metadata: Decodable { let component: Component }
        struct Dependency: Decodable {
            let ref: String
            let dependsOn: [String]
        }
        let bomFormat: String
        let specVersion: String
        let version: Int
        let serialNumber: String
        let metadata: Metadata
        let components: [Component]
        let dependencies: [Dependency]
    }

    /// As dpkg keeps it: one package that is there, and one of which only the configuration is left.
    private static let debian = """
        Package: libexample3
        Status: install ok installed
        Architecture: amd64
        Version: 1:3.0~rc1+deb13u1

        Package: removed
        Status: deinstall ok config-files
        Architecture: amd64
        Version: 1

        """
    private static let copyright = """
        Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

        Files: *
        Copyright: somebody
        License: Zlib

        Files: debian/*
        License: GPL-2+

        """

    @Test func `each package that a build resolves has its exact version in Package_swift`() throws {
        let file = TestEnvironment.projectDirectory.appending(path: "Package.swift")
        let manifest = try String(contentsOf: file, encoding: .utf8)
        let pins = try Resolved().pins
        #expect(pins.count > 10)
        for pin in pins {
            let version = try #require(pin.state.version, "\(pin.identity) has no version")
            #expect(manifest.contains(#"/\#(pin.identity)", exact: "\#(version)""#), "\(pin.identity) \(version)")
        }
    }

    @Test func `the bill of materials has every Swift package and every package of the image, each once`() async throws
    {
        try await withTemporaryDirectory { root in
            try root.write(Self.debian, to: "var/lib/dpkg/status")
            try root.write("VERSION_ID=\"13\"\n", to: "etc/os-release")
            try root.write(Self.copyright, to: "usr/share/doc/libexample3/copyright")
            try root.write("Licensed under the MIT License\n", to: "checkouts/jwt-kit/LICENSE")
            let script = TestEnvironment.projectDirectory.appending(path: "scripts/sbom")
            let arguments = ["--root", root.path, "--checkouts", root.appending(path: "checkouts").path]
            let run = try await Command.run(arguments, of: script)
            #expect(run.status == 0 && run.errors.isEmpty, "\(run.summary)")
            #expect(try await Command.run(arguments, of: script).output == run.output)

            let bill = try JSONDecoder().decode(BillOfMaterials.self, from: Data(run.output.utf8))
            #expect((bill.bomFormat, bill.specVersion, bill.version) == ("CycloneDX", "1.6", 1))
            let uuid = #/urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/#
            #expect(bill.serialNumber.wholeMatch(of: uuid) != nil, "\(bill.serialNumber)")
            #expect(bill.metadata.component.name == "link-session-service")

            for component in bill.components + [bill.metadata.component] {
                #expect(["application", "framework", "library"].contains(component.type), "\(component)")
                #expect(component.purl.wholeMatch(of: #/pkg:[a-z]+/[A-Za-z0-9.%~_/-]+@[^@\s]+/#) != nil, "\(component)")
                #expect(!component.name.isEmpty && !component.version.isEmpty, "\(component)")
            }
            let references = bill.components.map(\.reference)
            #expect(Set(references).count == references.count)
            #expect(bill.dependencies.map(\.ref) == [bill.metadata.component.reference])
            #expect(bill.dependencies.first?.dependsOn == references)

            let swift = Set(
                bill.components.filter { $0.purl.hasPrefix("pkg:swift/") }.map { "\($0.name) \($0.version)" })
            #expect(swift == Set(try Resolved().pins.map { "\($0.identity) \($0.state.version ?? "")" }))
            #expect(bill.components.first { $0.name == "jwt-kit" }?.licenses?.map(\.text) == ["MIT"])
            #expect(bill.components.first { $0.name == "swift-nio" }?.licenses == nil)
            let debian = bill.components.filter { $0.purl.hasPrefix("pkg:deb/") }
            #expect(
                debian.map(\.purl) == ["pkg:deb/debian/libexample3@1%3A3.0~rc1%2Bdeb13u1?arch=amd64&distro=debian-13"])
            #expect(debian.first?.licenses?.map(\.text) == ["Zlib"])
        }
    }
}
