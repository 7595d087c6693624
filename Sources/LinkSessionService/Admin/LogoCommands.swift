internal import ArgumentParser
internal import Foundation
internal import LinkSessionRepository
internal import LinkSessions
internal import TokenGenerator

struct SetLogo: ChangeCommand {
    static let configuration = CommandConfiguration(
        abstract: "Set the image that pages show beside the name of a supplier or a manufacturer.",
        discussion: """
            A PNG of 16 to 1024 pixels a side, or an SVG of shapes and text that runs no script and refers to nothing \
            outside of itself; at most 32 kB. Square ones look best beside a supplier's name. The name always stands \
            beside it, so that it says nothing on its own.
            """)

    @Option(help: "The supplier's slug.") var supplier: String?
    @Option(help: "The manufacturer's name.") var manufacturer: String?
    @Flag(help: "No image any more.") var remove = false
    @Argument(help: "The image's file.") var file: String?
    @OptionGroup var migration: ChangeOptions

    func change() throws -> AdminChange {
        let owner: AdminChange.LogoOwner
        switch (supplier, manufacturer) {
        case (let slug?, nil): owner = .supplier(try Supplier.Slug(argument: slug, for: "--supplier"))
        case (nil, let name?): owner = .manufacturer(try DisplayText(name, for: "--manufacturer"))
        default: throw CommandError.argument("set-logo", expects: "either --supplier or --manufacturer")
        }
        guard remove == (file == nil) else {
            throw CommandError.argument("set-logo", expects: "either FILE or --remove")
        }
        guard let file else { return try .setLogo(of: owner, nil, digest: nil) }
        let bytes = try read(file)
        let logo: Logo
        do throws(LogoError) {
            logo = try Logo(bytes)
        } catch {
            throw CommandError.argument("FILE", expects: error.expectation)
        }
        return try .setLogo(of: owner, logo, digest: try SHA256.digest(of: logo.bytes))
    }

    /// One byte more than a logo has tells that the file is too large.
    private func read(_ path: String) throws(CommandError) -> [UInt8] {
        guard let handle = FileHandle(forReadingAtPath: path),
            let data = try? handle.read(upToCount: Logo.maximumSize + 1)
        else { throw .system("cannot read \(path)") }
        return Array(data)
    }
}
