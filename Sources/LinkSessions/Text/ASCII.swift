/// Classes of ASCII characters, for rules on bytes.
extension UInt8 {
    package var isASCIIUppercase: Bool { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(self) }
    package var isASCIILowercase: Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(self) }
    package var isASCIILetter: Bool { (self | 0x20).isASCIILowercase }
    package var isASCIIDigit: Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) }
    package var isASCIILetterOrDigit: Bool { isASCIILetter || isASCIIDigit }

    /// Neither a blank nor a control character.
    package var isVisibleASCII: Bool { (0x21...0x7E).contains(self) }
}
