// Values that callers send: what is accepted has one spelling, and nothing in it that the contract forbids.

import Foundation
import LinkSessionRepository
import LinkSessions

/// Tokens, ids, keys and the feed's positions.
func fuzzTokens(_ input: [UInt8]) {
    let text = String(decoding: input, as: UTF8.self)
    if let token = LinkToken(text) {
        expect(token.characters == text && text.utf8.count == 54)
        expect(Base64URL.decode(text).map { $0.starts(with: token.id.bytes) } == true, "it begins with its id")
    }
    if let id = LinkSessionID(text) {
        expect(id.text == text && LinkSessionID(bytes: id.bytes[...]) == id, "one id has one spelling")
    }
    if let position = FeedPosition(eventID: text) { expect(position.eventID == text) }
    if let bytes = Base64URL.decode(text) { expect(Base64URL.encode(bytes) == text, "one spelling") }
    if let digest = SHA256Digest(hex: text) { expect(digest.hex == text.lowercased()) }
    if let slug = Supplier.Slug(text) {
        expect(slug.text == text && (1...40).contains(text.utf8.count))
        expect(text.utf8.allSatisfy { $0.isASCIILowercase || $0.isASCIIDigit || $0 == UInt8(ascii: "-") })
    }
    for environment in APIKey.Environment.allCases where APIKey.isWellFormed(text, in: environment) {
        expect(APIKey.isMentioned(in: text) && text.utf8.count == 58, "a leaked key is recognized")
    }
}

func fuzzIdempotencyKey(_ input: [UInt8]) {
    let text = String(decoding: input, as: UTF8.self)
    do throws(ValidationError) {
        let key = try IdempotencyKey(text)
        expect((1...255).contains(key.bytes.count) && key.bytes.allSatisfy { (0x21...0x7E).contains($0) })
        let characters = String(decoding: key.bytes, as: UTF8.self)
        let escaped = characters.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
        expect((try? IdempotencyKey(" \"\(escaped)\"\t")) == key, "both forms are the same key")
        if !characters.hasPrefix("\"") { expect((try? IdempotencyKey(characters)) == key) }
    } catch {
        expect(error.message.hasPrefix("Idempotency-Key"))
    }
}

func fuzzRedirectURL(_ input: [UInt8]) {
    let text = String(decoding: input, as: UTF8.self)
    do throws(ValidationError) {
        checkRedirectURL(try RedirectURL(text), text)
    } catch {
        expect(error.message.hasPrefix("redirect_url"))
    }
}

/// What an accepted URL is, read by other code than ours.
func checkRedirectURL(_ url: RedirectURL, _ text: String) {
    expect(url.text == text && (1...2048).contains(text.utf8.count))
    expect(text.utf8.allSatisfy { (0x21...0x7E).contains($0) && !"#\\\"<>^`{|}".utf8.contains($0) })
    guard let parsed = URLComponents(string: text), let scheme = parsed.scheme?.lowercased() else {
        return expect(false, "others take it for a URL: \(text)")
    }
    expect(parsed.user == nil && parsed.password == nil && parsed.fragment == nil, "nothing that misleads")
    let host = parsed.host?.lowercased() ?? ""
    switch scheme {
    case "https": expect(!host.isEmpty && !host.hasSuffix("."))
    case "http": expect(["localhost", "127.0.0.1", "[::1]", "::1"].contains(host), "only this machine: \(host)")
    default: expect(scheme.contains("."), "an app's own scheme: \(scheme)")
    }
    for segment in parsed.path.split(separator: "/") { expect(segment != "." && segment != "..", "no dot segment") }

    guard let canonical = try? url.canonical else { return expect(false, "its canonical spelling is one") }
    expect(canonical.registrationKey == url.registrationKey)
    expect((try? canonical.canonical.text) == canonical.text)
    expect(RedirectPolicy.registered([url.registrationKey]).allows(url))

    let back = url.with(data: "d.1", signature: "s.2")
    expect(URLComponents(string: back)?.host?.lowercased() ?? "" == host, "the result changes nothing before it")
    let query = FormFields(back[back.index(after: back.firstIndex(of: "?") ?? back.startIndex)...])
    expect(query["data"] == "d.1" && query["signature"] == "s.2", "the result is read as it was written: \(back)")
}

/// Texts that operators write and people read.
func fuzzNames(_ input: [UInt8]) {
    let text = String(decoding: input, as: UTF8.self)
    if let name = try? DisplayText(text) {
        expect(name.text.utf8.elementsEqual(text.utf8) && (1...200).contains(text.unicodeScalars.count))
        expect(!hasControl(text) && DisplayText.escaped(text) == text, "nothing in it misleads")
    }
    let escaped = DisplayText.escaped(text)
    expect(!hasControl(escaped) && DisplayText.escaped(escaped) == escaped)
    if let url = ProviderURL(text) { expect(url.isLoopback || text.lowercased().hasPrefix("https://")) }
}

/// What an image might hold that does something.
private let doing = [
    "<script", "<foreignobject", "<image", "<use", "<iframe", "<animate", "<set", "<a ", "<a>", "<!doctype", "<!entity",
    "<![cdata",
]

func fuzzLogo(_ input: [UInt8]) {
    guard let logo = try? Logo(input) else { return }
    expect(logo.bytes == input && input.count <= Logo.maximumSize)
    guard logo.mediaType == .svg else { return expect(input.starts(with: [0x89, 0x50, 0x4E, 0x47])) }
    // Comments are passed over by whoever reads it.
    var text = String(decoding: input, as: UTF8.self).lowercased()
    if text.hasPrefix("<?xml "), let end = text.firstRange(of: "?>") { text = String(text[end.upperBound...]) }
    while let start = text.firstRange(of: "<!--"), let end = text[start.upperBound...].firstRange(of: "-->") {
        text.removeSubrange(start.lowerBound..<end.upperBound)
    }
    for mark in doing { expect(!text.contains(mark), "no \(mark)") }
}
