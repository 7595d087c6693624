// JSON of callers, and what a create makes of it.

import Foundation
import JSON
import LinkSessions

@testable import HTTPFront

private let names = ["a", "b", "user_id", "redirect_url", "language", "supplier", "suppliers", "metadata", "code"]

/// A string, or whatever else: numbers, which Foundation bounds and the reader here does not, are not looked at.
private struct Member: Decodable {
    let text: String?

    init(from decoder: any Decoder) throws { text = try? decoder.singleValueContainer().decode(String.self) }
}

func fuzzJSON(_ input: [UInt8]) {
    guard let object = try? JSONObject(input) else { return }
    // Foundation reads other encodings as well, where there is a zero.
    guard let other = try? JSONDecoder().decode([String: Member].self, from: Data(input)) else {
        return expect(false, "what is accepted is JSON")
    }
    for name in names {
        guard let value = object[name] else {
            expect(other[name] == nil, "a member that is there is found")
            continue
        }
        switch value {
        case .string(let text):
            expect(other[name]?.text.map { Array($0.utf8) } == Array(text.utf8), "a string is what it is to others")
            let written = JSONWriter.object { $0.add("m", members: [(name, text), (text, name)]) }
            let read = (try? JSONObject(written))?.members("m")
            expect(read?.map(\.value) == [text, name] && read?.map(\.name) == [name, text], "written and read again")
        case .null: expect(other[name] != nil && other[name]?.text == nil)
        case .other:
            for element in object.elements(name) ?? [] {
                let alone = Array(#"{"a":"#.utf8) + element + Array("}".utf8)
                expect((try? JSONObject(alone)) != nil, "an element is a value")
            }
            if let strings = object.strings(name) {
                expect(object.elements(name)?.count == strings.count)
                let written = JSONWriter.object { $0.add("m", strings: strings) }
                expect((try? JSONObject(written))?.strings("m") == strings, "written and read again")
            }
        }
    }
}

private let suppliers = [Supplier.Slug("green-grid"), Supplier.Slug("blue-power")].compactMap(\.self)

/// A body as a create takes it: what is accepted keeps to every limit, and what is refused names its field.
func fuzzCreate(_ input: [UInt8]) {
    guard let body = try? JSONObject(input) else { return }
    func text(_ name: String) -> String? { if case .string(let text)? = body[name] { text } else { nil } }
    func check(_ name: String, _ work: () throws -> Void) {
        do {
            try work()
        } catch let error as ValidationError {
            expect(error.message.hasPrefix(name), "a refusal begins with its field: \(error.message)")
        } catch {
            expect(false, "refused otherwise: \(error)")
        }
    }
    if let text = text("user_id") {
        check("user_id") {
            let userID = try ManufacturerUserID(text)
            expect(userID.text.utf8.elementsEqual(text.utf8), "kept byte for byte")
            expect((1...256).contains(text.unicodeScalars.count) && !hasControl(text))
            expect(!text.unicodeScalars.allSatisfy(\.properties.isWhitespace))
        }
    }
    if let text = text("redirect_url") { check("redirect_url") { checkRedirectURL(try RedirectURL(text), text) } }
    if let text = text("language") {
        check("language") {
            let language = try Language(text)
            expect(["nl", "en", "fr", "es"].contains(language.rawValue) && language.rawValue == text)
        }
    }
    let field = ["suppliers", "supplier", "metadata"].first { body[$0] != nil } ?? ""
    guard !field.isEmpty else { return }
    do {
        let options = try LinkSessionOptions(body) { [] }
        expect(options.preferredSupplier == nil && options.offeredSuppliers == nil, "no supplier is known")
        guard let metadata = options.metadata else { return expect(options.isEmpty) }
        let members = metadata.members
        expect(members.count <= 20)
        expect(members.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count } <= 4096)
        for member in members {
            expect((1...40).contains(member.name.unicodeScalars.count) && !hasControl(member.name))
            expect(member.value.unicodeScalars.count <= 500 && !hasControl(member.value))
        }
        let again = try? SessionMetadata(members.reversed().map { ($0.name, $0.value) })
        expect(again == metadata, "the order of the names is the only one")
    } catch let error as ValidationError {
        expect(
            ["supplier", "metadata"].contains { error.message.hasPrefix($0) }, "a refusal begins with its field")
    } catch {
        expect(false, "refused otherwise: \(error)")
    }
}

/// General category Cc.
func hasControl(_ text: String) -> Bool { text.unicodeScalars.contains { $0.properties.generalCategory == .control } }
