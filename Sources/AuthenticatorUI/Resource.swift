// The files of Resources: templates, catalogues of texts, stylesheet and icon.

internal import HTTPServer
internal import LinkSessions
internal import NIOHTTP1

/// Embedded in the program, so that it is deployed as one file.
enum Resource {
    static let templates: [(String, [UInt8])] = [
        ("layout", PackageResources.layout_mustache), ("link", PackageResources.link_mustache),
        ("continue", PackageResources.continue_mustache), ("sandbox", PackageResources.sandbox_mustache),
        ("confirm", PackageResources.confirm_mustache), ("returning", PackageResources.returning_mustache),
        ("notice", PackageResources.notice_mustache),
    ]
    static let stylesheet = PackageResources.style_css
    static let icon = PackageResources.icon_svg

    static func catalogue(_ language: Language) -> [UInt8] {
        switch language {
        case .nl: PackageResources.nl_json
        case .en: PackageResources.en_json
        case .fr: PackageResources.fr_json
        case .es: PackageResources.es_json
        }
    }

    static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    /// A hash of the bytes (FNV-1a) for the file's URL: a changed file has another URL, so browsers may keep each for
    /// long.
    static func version(_ bytes: [UInt8]) -> String {
        String(bytes.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }, radix: 16)
    }

    static func response(_ bytes: [UInt8], type: String) -> Response {
        Response(
            status: .ok,
            headers: [
                "content-type": type, "cache-control": "public, max-age=86400",
            ], body: bytes)
    }
}
