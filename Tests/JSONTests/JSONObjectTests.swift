// The reader of request bodies: RFC 8259 to the letter, and nothing that could be misunderstood.

import Foundation
import Testing

@testable import JSON

@Suite struct JSONObjectTests {
    @Test func `the elements of an array are had as they are written`() throws {
        let object = try read(#"{"a":[ {"b": [1, "]"]} ,2.50,"\u0041", null ],"c":[],"d":{},"e":"[1]"}"#)
        let elements = object.elements("a")?.map { String(decoding: $0, as: UTF8.self) }
        #expect(elements == [#"{"b": [1, "]"]}"#, "2.50", #""\u0041""#, "null"])
        #expect(object.elements("c")?.isEmpty == true)
        for name in ["d", "e", "f"] { #expect(object.elements(name) == nil) }
    }

    // MARK: Accepted (the y_ cases of JSONTestSuite by Nicolas Seriot, each as the value of a member)

    @Test(
        arguments: [
            "[]", "[[]   ]", "[\"\"]", "[\"a\"]", "[false]", "[null, 1, \"1\", {}]", "[null]", "[1\n]", " [1]", "[2] ",
            "[1,null,null,null,2]",
            "[true]", "\t[\r\n1 ,\t2 ]\r\n", "true", "false", "{}", "{\"\":0}", "{\"a\":[]}",
            "{\"a\":{\"b\":[{\"c\":null}]}}",
            "{\n\"a\": \"b\"\n}", "{\"foo\\u0000bar\": 42}", "{ \"min\": -1.0e+28, \"max\": 1.0e+28 }",
            "[\"\\uD834\\uDd1e\"]",
        ])
    func `arrays, objects and booleans are accepted and not kept`(value: String) throws {
        #expect(try read(#"{"a":\#(value)}"#)["a"] == .other)
    }

    @Test(
        arguments: [
            "0", "-0", "1", "-1", "123", "-123", "10", "0.0", "-0.5", "123.456789", "0e1", "0e+1", "0E-1", "20e1",
            "123e65", "1E22", "1E-2",
            "1E+2", "1e-2", "1e+2", "123.456e78", "0.0e0", "1.50", "1e01", "1e00", "4 ", " 4",
            "-0.000000000000000000000000000000000000000000000000000000000000000000000000000001",
            // Too large for every type that could hold them; grammar is what counts.
            "1e9999", "-1e+9999", "123e-10000000", "100000000000000000000000000000000000000000000",
        ])
    func `numbers are accepted`(number: String) throws {
        #expect(try read(#"{"a":\#(number)}"#)["a"] == .other)
        #expect(try read(#"{"a":[\#(number)],"b":null}"#)["b"] == .null)
    }

    @Test(
        arguments: [
            (#""""#, ""), (#"" ""#, " "), (#""asd ""#, "asd "), (#""\u0060\u012a\u12AB""#, "\u{60}\u{12A}\u{12AB}"),
            (#""\uD801\udc37""#, "\u{10437}"), (#""\ud83d\ude39\ud83d\udc8d""#, "\u{1F639}\u{1F48D}"),
            (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"), (#""\\u0000""#, "\\u0000"), (#""\"""#, "\""),
            (#""a/*b*/c/*d//e""#, "a/*b*/c/*d//e"), (#""\\a""#, "\\a"), (#""\\n""#, "\\n"), (#""\u0012""#, "\u{12}"),
            (#""\uFFFF""#, "\u{FFFF}"), (#""\uDBFF\uDFFF""#, "\u{10FFFF}"), (#""\uD800\uDC00""#, "\u{10000}"),
            (#""\uD7FF\uE000""#, "\u{D7FF}\u{E000}"), (#""new\u00A0line""#, "new\u{A0}line"),
            ("\"\u{10FFFF}\"", "\u{10FFFF}"),
            ("\"\u{FFFF}\"", "\u{FFFF}"), (#""\u0000""#, "\0"), (#""a\u0000b""#, "a\0b"), (#""\u002c""#, ","),
            ("\"π\"", "π"),
            ("\"\u{1BFFF}\"", "\u{1BFFF}"), (#""\uD834\uDd1e""#, "\u{1D11E}"), (#""\u0821""#, "\u{821}"),
            (#""\u0123""#, "\u{123}"),
            ("\"\u{2028}\u{2029}\"", "\u{2028}\u{2029}"), (#""\u0061\u30af\u30EA\u30b9""#, "aクリス"),
            (#""new\u000Aline""#, "new\nline"), ("\"\u{7F}a\u{7F}\"", "\u{7F}a\u{7F}"), (#""\uA66D""#, "\u{A66D}"),
            (#""\u005C""#, "\\"),
            ("\"⍂㈴⍂\"", "⍂㈴⍂"), (#""\uDBFF\uDFFE""#, "\u{10FFFE}"), (#""\u200B""#, "\u{200B}"),
            (#""\u0022""#, "\""), ("\"€𝄞\"", "€𝄞"), ("\"👩🏽‍🚒\"", "👩🏽‍🚒"), ("\"\u{FEFF}a\"", "\u{FEFF}a"),
            ("\"\u{E9}\\u00e9\u{E9}\"", "\u{E9}\u{E9}\u{E9}"),
        ])
    func `strings are decoded to the last byte`(json: String, expected: String) throws {
        guard case .string(let text) = try read(#"{"a":\#(json)}"#)["a"] else {
            Issue.record("not read as a string")
            return
        }
        #expect(Array(text.utf8) == Array(expected.utf8))
    }

    @Test func `strings are not normalised`() throws {
        let object = try read(#"{"a":"e\u0301","b":"\#("\u{E9}")","c":"\#("\u{212B}")"}"#)
        #expect(try #require(object["a"]).bytes == [0x65, 0xCC, 0x81])
        #expect(try #require(object["b"]).bytes == [0xC3, 0xA9])
        #expect(try #require(object["c"]).bytes == [0xE2, 0x84, 0xAB])
    }

    @Test func `null, an empty string and a missing member are three things`() throws {
        let object = try read(#"{"null":null,"empty":"","word":"null"}"#)
        #expect(object["null"] == .null)
        #expect(object["empty"] == .string(""))
        #expect(object["word"] == .string("null"))
        #expect(object["missing"] == nil)
    }

    @Test(arguments: ["{}", " {} ", "\t{\n}\r\n", "{}\n", "\r\n\t {}"])
    func `an empty object has no members, with white space around it or without`(text: String) throws {
        #expect(try read(text)["a"] == nil)
    }

    @Test func `members are found by their decoded names`() throws {
        let object = try read(#"{ "\u0061" : "1" , "" : "2", "b\nc":"3","\ud83d\ude00":"4" }"#)
        #expect(object["a"] == .string("1"))
        #expect(object[""] == .string("2"))
        #expect(object["b\nc"] == .string("3"))
        #expect(object["😀"] == .string("4"))
        #expect(object["A"] == nil)
    }

    // MARK: Names that occur twice

    @Test(
        arguments: [
            #"{"user_id":"1","user_id":"2"}"#, #"{"user_id":"1","user_id":"1"}"#,
            #"{"user_id":"1","user\u005fid":"2"}"#,
            #"{"\u0075ser_id":"1","user_id":"2"}"#, #"{"user_id":null,"user_id":"2"}"#, #"{"x":1,"y":2,"x":[]}"#,
            #"{"":1,"":2}"#,
            #"{"a/b":1,"a\/b":2}"#, #"{"😀":1,"\ud83d\ude00":2}"#, #"{"\n":1,"\u000a":2}"#, #"{"\u00E9":1,"é":2}"#,
        ])
    func `a name that occurs twice is refused, however it is written`(text: String) {
        expectRefused(text, "the body has a name that occurs twice")
    }

    @Test func `names that are only canonically equivalent are two names`() throws {
        let object = try read(#"{"e\u0301":"1","\u00e9":"2","K":"3","\u212a":"4"}"#)
        #expect(object["e\u{301}"] == .string("1"))
        #expect(object["\u{E9}"] == .string("2"))
        #expect(object["K"] == .string("3"))
        #expect(object["\u{212A}"] == .string("4"))
    }

    @Test func `names that differ in case or by a trailing NUL are two names`() throws {
        let object = try read(#"{"a":"1","A":"2","a\u0000":"3"}"#)
        #expect(object["a"] == .string("1"))
        #expect(object["A"] == .string("2"))
        #expect(object["a\0"] == .string("3"))
    }

    // MARK: Refused: no object

    @Test(
        arguments: [
            "", " ", "\n", "[]", "[{}]", "null", "true", "0", "\"\"", "\"{}\"", "a", "]", "}", "*", "<.>", "'",
            "//\n{}", "/**/{}", "\u{A0}{}",
            "\u{C}{}", "\u{B}{}", "\0{}", "\u{2060}{}", "é", "\u{FEFF}{}", "\u{FEFF}", "(){}", "user_id=1",
        ])
    func `what is no object is refused`(text: String) {
        expectRefused(text, "the body must be a JSON object")
    }

    @Test func `an object in UTF-16 or UTF-32 is refused`() {
        for encoding in [
            String.Encoding.utf16, .utf16LittleEndian, .utf16BigEndian, .utf32, .utf32LittleEndian, .utf32BigEndian,
        ] {
            expectRefused(Array(#"{"a":"b"}"#.data(using: encoding) ?? Data()), "the body ")
        }
    }

    // MARK: Refused: values (the n_ cases)

    @Test(
        arguments: [
            "[1 true]", "[\"\": 1]", "[,1]", "[1,,2]", "[\"x\",,]", "[\"x\"]]", "[\"\",]", "[\"x\"", "[x", "[3[4]]",
            "[1:2]", "[,]", "[-]",
            "[   , \"\"]", "[\"a\",\n4\n,1,", "[1,]", "[1,,]", "[*]", "[\"\"", "[1,", "[1,\n1\n,1", "[{}", "[fals]",
            "[nul]", "[tru]", "[",
            "[1}", "{]", "[\u{B}1]", "[\u{C}]", "[\u{A0}]", "[\u{2060}]", "[\0]", "[é]", "[True]", "[NULL]", "[<null>]",
            "[undefined]", "[']",
            "['single quote']", "[\\n]", "[\\u0020\"asd\"]", "[\\u000A\"\"]", "nulll", "nul", "truee", "tru", "fals",
            "falsee", "True", "None", "",
            ",", ":", "nullnull", "null null", "n", "t", "f", "\"a\" \"b\"", "\"a\"123",
        ])
    func `a malformed array or word is refused`(value: String) {
        expectRefused(#"{"a":\#(value)}"#, "the body is not valid JSON: ")
    }

    @Test(
        arguments: [
            "++1234", "+1", "+Inf", "-01", "-1.0.", "-2.", "-NaN", ".-1", ".2e-3", "0.1.2", "0.3e+", "0.3e", "0.e1",
            "0e+", "0e", "0E", "0E+", "1.0e+",
            "1.0e-", "1.0e", "1 000.0", "1eE2", "2.e+3", "2.e-3", "2.e3", "9.e+", "Inf", "NaN", "１", "1+2", "0x1",
            "0x42", "Infinity", "0e+-1",
            "-123.123foo", "-Infinity", "-foo", "- 1", "-012", "-.123", "-1x", "1ea", "1.", ".123", "1.2a-3",
            "1.8011670033376514H-308",
            "012", "00", "-", "--1", "-+1", "1e", "1e5.0", "1_000", "1f", "0b1", "1..2", "٣",
        ])
    func `a malformed number is refused`(number: String) {
        expectRefused(#"{"a":\#(number)}"#, "the body is not valid JSON: ")
        expectRefused(#"{"a":[\#(number)]}"#, "the body is not valid JSON: ")
    }

    @Test(
        arguments: [
            #"{[: "x"}"#, #"{"x", null}"#, #"{"x"::"b"}"#, #"{🇨🇭}"#, #"{"a":"a" 123}"#, #"{key: 'value'}"#, #"{"a" b}"#,
            #"{:"b"}"#, #"{"a" "b"}"#,
            #"{"a":"#, #"{"a""#, #"{1:1}"#, #"{9999E9999:1}"#, #"{null:null,null:null}"#, #"{"id":0,,,,,}"#,
            #"{'a':0}"#, #"{"id":0,}"#,
            #"{"a":"b",,"c":"d"}"#, #"{,"a":"b"}"#, #"{a: "b"}"#, #"{ "foo" : "bar", "a" }"#, #"{"x": true,"#, "{",
            "{]", "{,", "{[", #"{"a"#, #"{'a'"#,
            #"{"":"#, #"{"a":/*comment*/"b"}"#, #"{"asd":"asd""#, #"{"a":1"#, #"{"a":1]"#, #"{"a":1:2}"#, #"{"a"=1}"#,
            #"{"a":1;"b":2}"#, #"{"a":1 "b":2}"#,
            #"{true:1}"#, #"{"a":}"#, #"{"a":{"b"}}"#, #"{"a":{1:2}}"#, #"{"a":{"b":1,}}"#, #"{"a":{,}}"#, #"{"a":"a"#,
        ])
    func `a malformed object is refused`(text: String) {
        expectRefused(text, "the body is not valid JSON: ")
    }

    @Test(
        arguments: [
            "x", "}", "{}", "[]", ",", "#", "#{}", "/", "//", "/**/", "/**//", " \"x\"", "0", "null", "\0", "\u{A0}",
            "\u{FEFF}", "\u{C}", ";", "\n\n1",
        ])
    func `anything after the object is refused`(rest: String) {
        expectRefused("{}" + rest, "the body is not valid JSON: unexpected character at byte ")
        expectRefused(#"{"a":"b"}"# + rest, "the body is not valid JSON: unexpected character at byte ")
    }

    // MARK: Refused: strings

    @Test(
        arguments: [
            #""\a""#, #""\x00""#, #""\'""#, #""\0""#, #""\ ""#, #""\v""#, #""\U0041""#, #""\u00A""#, #""\u""#,
            #""\u1""#, #""\uqqqq""#, #""\u00G0""#,
            #""\u+041""#, #""\u-041""#, #""\u-000""#, #""\u 041""#, #""\u0x41""#, #""\u004 ""#, #""\u{41}""#, "\"\\🌀\"",
            "\"\\\u{9}\"", "\"\\\0\"", "\"\\\n\"", #""\"#, #"""#,
            #""a"#, #""\\\"#, #""\u00"#, #""\u"#, "\"\\u\u{FF10}041\"", "\"\\u００４１\"", "\"\\é\"", #""\uD834\uDd""#,
            #""\uD800\u""#, #""\uD800\u1""#, #""\uD800\u1x""#,
        ])
    func `a malformed escape or an unclosed string is refused`(string: String) {
        expectRefused(#"{"a":\#(string)"#, "the body is not valid JSON: ")
        expectRefused(#"{"a":\#(string)}"#, "the body is not valid JSON: ")
        expectRefused(#"{\#(string):1}"#, "the body is not valid JSON: ")
    }

    @Test(
        arguments: [
            #"\uD800"#, #"\uDBFF"#, #"\uDC00"#, #"\uDFFF"#, #"\ud800abc"#, #"\uD800\n"#, #"\uD800\\uDC00"#,
            #"\uDC00\uD800"#, #"\uDC00\uDC00"#, #"\uDBFFuDFFF"#, #"\uD800\uD800"#,
            #"\uD800\uD800\uDC00"#, #"\uD83D\uDE00\uDE00"#, #"\uD800\u0041"#, #"\uD888\u1234"#, #"\uDFAA"#,
            #"a\uD800 \uDC00"#,
        ])
    func `an unpaired surrogate is refused, in a value and in a name`(escapes: String) {
        expectRefused(#"{"a":"\#(escapes)"}"#, "the body has an unpaired surrogate in a string")
        expectRefused(#"{"\#(escapes)":1}"#, "the body has an unpaired surrogate in a string")
        expectRefused(#"{"a":[{"b":"\#(escapes)"}]}"#, "the body has an unpaired surrogate in a string")
    }

    @Test(arguments: UInt8(0)...0x1F)
    func `a raw control character in a string is refused`(byte: UInt8) {
        for text in [
            #"{"a":"\#(Unicode.Scalar(byte))"}"#, #"{"a":"x\n\#(Unicode.Scalar(byte))y"}"#,
            #"{"\#(Unicode.Scalar(byte))":1}"#,
        ] {
            expectRefused(text, "the body has a control character in a string")
        }
    }

    @Test(
        arguments: [
            // A continuation byte alone, a sequence that breaks off, one that goes on too long.
            [0x80], [0xBF], [0xC3], [0xE2, 0x82], [0xF0, 0x9F, 0x98], [0xC3, 0xA9, 0xA9], [0xC3, 0x28],
            [0xE2, 0x28, 0xA1],
            // Overlong: a slash, a NUL and a quote in more bytes than they need.
            [0xC0, 0xAF], [0xC0, 0x80], [0xC1, 0xBF], [0xE0, 0x80, 0xA2], [0xE0, 0x9F, 0xBF], [0xF0, 0x80, 0x80, 0xA2],
            [0xF0, 0x8F, 0xBF, 0xBF],
            [0xFC, 0x80, 0x80, 0x80, 0x80, 0xAF],
            // Surrogates, alone and as a pair (CESU-8).
            [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF], [0xED, 0xA0, 0xBD, 0xED, 0xB8, 0x80],
            // Beyond Unicode, and bytes that are never UTF-8; Latin-1.
            [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xF8, 0x88, 0x80, 0x80, 0x80], [0xFE], [0xFF], [0xE9],
            [0xE5],
        ] as [[UInt8]])
    func `invalid UTF-8 in a string is refused, in a value and in a name`(bytes: [UInt8]) {
        let message = "the body must be UTF-8"
        expectRefused(Array(#"{"a":""#.utf8) + bytes + Array(#""}"#.utf8), message)
        expectRefused(Array(#"{"a":"x\n"#.utf8) + bytes + Array(#"y"}"#.utf8), message)
        expectRefused(Array(#"{""#.utf8) + bytes + Array(#"":1}"#.utf8), message)
        expectRefused(Array(#"{"a":{"b":[""#.utf8) + bytes + Array(#""]}}"#.utf8), message)
    }

    @Test func `an escape does not mend a sequence that breaks off`() {
        for escape in [#"\u00a9"#, #"\u0080"#, #"\n"#, #"\ud83d\ude00"#] {
            expectRefused(Array(#"{"a":""#.utf8) + [0xC3] + Array(#"\#(escape)"}"#.utf8), "the body must be UTF-8")
        }
    }

    @Test(arguments: [[0xE5], [0xFF], [0xC3, 0xA9], [0x80]] as [[UInt8]])
    func `bytes beyond ASCII outside a string are refused`(bytes: [UInt8]) {
        for (start, end) in [
            (#"{"a":"#, "}"), (#"{"a":1"#, "}"), (#"{"a":[a"#, "]}"), ("{", "}"), ("{}", ""), (#"{"a""#, ":1}"),
            (#"{"a":1e"#, "}"),
        ] {
            expectRefused(Array(start.utf8) + bytes + Array(end.utf8), "the body is not valid JSON: ")
        }
    }

    // MARK: Strings in arrays and objects

    @Test func `an array of strings and an object of strings can be read`() throws {
        let object = try read(
            #"{ "a" : [ "x" , "\u00e9\n" , "" ] , "b" : { "n" : "1" , "\u0022" : "" , "n" : "2" }, "c":[], "d":{} }"#)
        #expect(object.strings("a") == ["x", "é\n", ""])
        let members = try #require(object.members("b"))
        #expect(members.map(\.name) == ["n", "\"", "n"])
        #expect(members.map(\.value) == ["1", "", "2"])
        #expect(object.strings("c") == [])
        #expect(object.members("d")?.isEmpty == true)
    }

    @Test(
        arguments: [
            "1", "null", "true", #""x""#, #"["x",1]"#, #"["x",["y"]]"#, "[null]", #"{"a":1}"#, #"{"a":"b","c":{}}"#,
            #"{"a":null}"#, #"[1,"]"]"#, #"{"a":1,"}":"b"}"#,
        ])
    func `whatever has something else than strings is neither`(value: String) throws {
        let object = try read(#"{"a":\#(value),"b":"x"}"#)
        #expect(object.strings("a") == nil)
        #expect(object.members("a") == nil)
        #expect(object.strings("none") == nil && object.members("none") == nil)
        #expect(object.strings("b") == nil && object.members("b") == nil)
    }

    // MARK: Depth

    @Test(arguments: [("[", "]"), (#"{"a":"#, "}")])
    func `32 levels below the object are accepted and 33 are refused`(open: String, close: String) throws {
        func nested(_ levels: Int) -> String {
            let innermost = open == "[" ? "[]" : "{}"
            return #"{"a":"# + String(repeating: open, count: levels - 1) + innermost
                + String(repeating: close, count: levels - 1) + "}"
        }
        #expect(try read(nested(32))["a"] == .other)
        expectRefused(nested(33), "the body is nested too deeply")
        expectRefused(nested(1000), "the body is nested too deeply")
    }

    @Test func `many values side by side are not deep`() throws {
        let pairs = (0..<500).map { #""\#($0)":[[{}],[{}]]"# }
        #expect(try read("{" + pairs.joined(separator: ",") + "}")["499"] == .other)
    }

    @Test(arguments: ["[", #"{"a":"#, #"[{"a":"#, "[[],", #"{"a":1,"b":"#])
    func `100,000 levels end in a refusal`(open: String) {
        expectRefused(#"{"a":"# + String(repeating: open, count: 100_000), "the body is nested too deeply")
    }

    // MARK: Messages

    @Test func `a refusal says where, and never repeats the body`() {
        expectRefused(#"{"a":sesame}"#, "the body is not valid JSON: unexpected character at byte 5")
        expectRefused(#"{"sesame":1"#, "the body is not valid JSON: it ends too early")
        expectRefused("{}sesame", "the body is not valid JSON: unexpected character at byte 2")
        for text in [
            #"{"sesame":1,"sesame":2}"#, #"{"a":"sesame\ud800"}"#, "{\"a\":\"sesame\n\"}", "sesame",
            #"{"a":"\sesame"}"#,
            #"{"sesame" 1}"#,
        ] {
            let error = #expect(throws: JSONError.self) { try JSONObject(Array(text.utf8)) }
            #expect(error?.message.contains("sesame") == false)
        }
    }

    // MARK: Fuzzing

    @Test func `garbage of 16 KiB is refused`() {
        var generator = SplitMix64(seed: 1)
        for _ in 0..<20 {
            expectRefused((0..<16_384).map { _ in UInt8(truncatingIfNeeded: generator.next()) }, "the body ")
        }
        let alphabet = Array("{}[]\",:\\u0019eE+-. \tnulltruefals".utf8)
        for _ in 0..<20 {
            let garbage = (0..<16_384).map { _ in alphabet[Int.random(in: alphabet.indices, using: &generator)] }
            expectRefused(Array(#"{"a":"#.utf8) + garbage, "the body ")
        }
        for unit in [
            "\"", "\\", "{", "}", "{\"", "{\"a\":\"\\u", "{\"a\":\"\\ud83d", "{\"a\":1,", "{\"a\":[", "\u{FEFF}",
        ] {
            expectRefused(String(repeating: unit, count: 16_384 / unit.utf8.count), "the body ")
        }
    }

    /// Foundation's reader judges too: what we accept it accepts, with the same strings; what we alone refuse has a
    /// name that occurs twice, or a comma after the last value, which Foundation allows.
    @Test func `20,000 mutated documents are judged as Foundation judges them`() throws {
        let documents = Self.documents.map { Array($0.utf8) }
        let fragments =
            Self.fragments.map { Array($0.utf8) } + [
                [0xC3], [0xFF], [0xED, 0xA0, 0x80], [0xC0, 0xAF], [0x80], [0x00],
            ]
        var generator = SplitMix64(seed: 2)
        var accepted = 0
        for _ in 0..<20_000 {
            var bytes = documents[Int.random(in: documents.indices, using: &generator)]
            for _ in 0...Int.random(in: 0...2, using: &generator) {
                Self.mutate(&bytes, fragments: fragments, using: &generator)
            }
            let theirs = (try? JSONSerialization.jsonObject(with: Data(bytes))) as? [String: Any]
            let text = Comment(rawValue: String(decoding: bytes, as: UTF8.self))
            switch Result(catching: { () throws(JSONError) in try JSONObject(bytes) }) {
            case .failure(let error):
                let isStricter = error.message.hasSuffix("occurs twice") || Self.hasTrailingComma(bytes)
                #expect(theirs == nil || isStricter, text)
            case .success(let ours):
                accepted += 1
                let reference = try #require(theirs, text)
                for (name, value) in reference { #expect(ours[name].map { Self.matches($0, value) } == true, text) }
            }
        }
        // Both verdicts were tried.
        #expect(accepted > 1000)
        #expect(accepted < 19_000)
    }

    private static func matches(_ ours: JSONObject.Value, _ theirs: Any) -> Bool {
        switch theirs {
        case let text as String: ours.bytes == Array(text.utf8)
        case is NSNull: ours == .null
        default: ours == .other
        }
    }

    private static func hasTrailingComma(_ bytes: [UInt8]) -> Bool {
        let dense = bytes.filter { $0 > 0x20 }
        return zip(dense, dense.dropFirst()).contains {
            $0 == UInt8(ascii: ",") && ($1 == UInt8(ascii: "}") || $1 == UInt8(ascii: "]"))
        }
    }

    private static let documents = [
        #"{"user_id":"manufacturer_user_id_123","redirect_url":"https://your-app.com/callback","language":"nl"}"#,
        #"{ "a" : [ 1 , -2.5e+3 , true , false , null , { "b" : "c" } ] , "d" : null }"#,
        #"{"\u0061\ud83d\ude00":"\"\\\/\b\f\n\r\t\u00e9é€😀","x":{},"y":[],"z":0}"#,
        #"{"n":[0,10,-0,1.5,1e2,1E-2,0.1e+1],"t":[[[]],[{}]],"s":""}"#,
        "{\n\t\"a\": \"b\",\r\n \"c\": {\"d\": [\"e\", \"\\u0000\"]}\n}\n",
    ]

    private static let fragments = [
        "\"", "\\", "{", "}", "[", "]", ",", ":", " ", "\n", "\t", "0", "1", "-", "+", ".", "e", "null", "true", "\\u",
        "\\ud83d", "\\ude00", "\\u0061",
        "é", "😀", "\u{A0}", "\u{7F}", "\"a\":1,", ",\"a\":2", "[[", "]]", "{}", "/*", "//", "'",
    ]

    private static func mutate(_ bytes: inout [UInt8], fragments: [[UInt8]], using generator: inout SplitMix64) {
        let place = Int.random(in: 0...bytes.count, using: &generator)
        let end = min(bytes.count, place + Int.random(in: 1...4, using: &generator))
        let fragment = fragments[Int.random(in: fragments.indices, using: &generator)]
        switch Int.random(in: 0..<7, using: &generator) {
        case 0: bytes.removeSubrange(place..<end)
        case 1: bytes.insert(contentsOf: fragment, at: place)
        case 2: bytes.replaceSubrange(place..<end, with: fragment)
        case 3: if place < bytes.count { bytes[place] = UInt8(truncatingIfNeeded: generator.next()) }
        case 4: if place < bytes.count { bytes[place] ^= 1 << UInt8(generator.next() % 8) }
        case 5: bytes.insert(contentsOf: bytes[place..<end], at: place)
        default: bytes.removeSubrange(place...)
        }
    }

    // MARK: Helpers

    private func read(_ text: String) throws -> JSONObject { try JSONObject(Array(text.utf8)) }

    private func expectRefused(_ text: String, _ message: String, sourceLocation: SourceLocation = #_sourceLocation) {
        expectRefused(Array(text.utf8), message, sourceLocation: sourceLocation)
    }

    private func expectRefused(_ bytes: [UInt8], _ message: String, sourceLocation: SourceLocation = #_sourceLocation) {
        let comment = Comment(rawValue: String(decoding: bytes.prefix(100), as: UTF8.self))
        let error = #expect(throws: JSONError.self, comment, sourceLocation: sourceLocation) {
            try JSONObject(bytes)
        }
        guard let error else { return }
        #expect(error.message.hasPrefix(message), comment, sourceLocation: sourceLocation)
    }
}

extension JSONObject.Value {
    fileprivate var bytes: [UInt8]? { if case .string(let text) = self { Array(text.utf8) } else { nil } }
}

/// The same numbers in every run (Steele, Lea and Flood, 2014).
private struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}
