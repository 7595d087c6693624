internal import IPAddresses
internal import NIOHTTP1

/// Who sends a request, as far as its connection and the proxies before it tell.
struct Client: Sendable {
    /// `nil` where the connection has none, as in a test.
    let address: IPAddress?
    /// As the log has it: enough to see whence a flood comes, and no person's own address.
    let network: String

    init(_ address: IPAddress?) {
        self.address = address
        network = address?.network(ipv4: 24, ipv6: 48).description ?? "-"
    }
}

/// Proxies whose word about their clients counts.
struct TrustedProxies: Sendable {
    let networks: [IPNetwork]

    private func trusts(_ address: IPAddress) -> Bool { networks.contains { $0.contains(address) } }

    /// The client of a request: its peer, unless that is a trusted proxy, which names another one, and so on.
    ///
    /// Which of the two headers a proxy writes nobody says; the other one comes from the client and may be forged. So
    /// where they name two clients neither counts.
    func client(of peer: Client, _ headers: HTTPHeaders) -> Client {
        guard !networks.isEmpty, let address = peer.address, trusts(address) else { return peer }
        let (forwarded, further) = (headers["forwarded"], headers["x-forwarded-for"])
        let named = [
            forwarded.isEmpty ? nil : client(behind: address, Forwarded.addresses(in: forwarded)),
            further.isEmpty ? nil : client(behind: address, Forwarded.addresses(inList: further)),
        ].compactMap(\.self)
        guard let first = named.first, named.allSatisfy({ $0 == first }) else { return peer }
        return first == address ? peer : Client(first)
    }

    /// - Parameter addresses: of the last proxy's client first; `nil` where one is not told.
    private func client(behind proxy: IPAddress, _ addresses: some Sequence<IPAddress?>) -> IPAddress {
        var client = proxy
        for address in addresses {
            guard trusts(client), let address else { break }
            client = address
        }
        return client
    }
}

/// What `Forwarded` (RFC 7239) and `X-Forwarded-For` say of clients' addresses: the last one's first.
enum Forwarded {
    /// Of the fields `Forwarded`: elements with commas between, of pairs with semicolons between.
    static func addresses(in fields: [String]) -> [IPAddress?] {
        split(fields.joined(separator: ","), at: ",").reversed().map { element in
            let nodes = split(element, at: ";").compactMap { pair -> String? in
                let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                guard parts.count == 2, trimmed(parts[0]).lowercased() == "for" else { return nil }
                return unquoted(trimmed(parts[1]))
            }
            return nodes.count == 1 ? address(ofNode: nodes[0]) : nil
        }
    }

    /// Of the fields `X-Forwarded-For`: addresses with commas between.
    static func addresses(inList fields: [String]) -> [IPAddress?] {
        fields.joined(separator: ",").split(separator: ",", omittingEmptySubsequences: false).reversed().map {
            address(ofNode: String(trimmed($0)))
        }
    }

    /// An address, with or without brackets and port (RFC 7239, section 6); `nil` for `unknown` and for what somebody
    /// calls by another name.
    static func address(ofNode node: String) -> IPAddress? {
        if let address = IPAddress(node) { return address }
        if node.hasPrefix("[") {
            guard let end = node.lastIndex(of: "]"), isPort(node[node.index(after: end)...]) else { return nil }
            let inside = node[node.index(after: node.startIndex)..<end]
            return inside.contains(":") ? IPAddress(inside) : nil
        }
        guard let colon = node.lastIndex(of: ":"), isPort(node[colon...]), !node[..<colon].contains(":") else {
            return nil
        }
        return IPAddress(node[..<colon])
    }

    /// Nothing, or a colon and a port, which may have another name (RFC 7239, section 6.2).
    private static func isPort(_ text: Substring) -> Bool {
        guard !text.isEmpty else { return true }
        return text.first == ":" && (2...21).contains(text.utf8.count)
            && text.utf8.dropFirst().allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }

    /// At separators that are not within quotes.
    private static func split(_ text: some StringProtocol, at separator: Character) -> [String] {
        var parts = [""]
        var (isQuoted, isEscaped) = (false, false)
        for character in text {
            switch character {
            case _ where isEscaped: isEscaped = false
            case "\\" where isQuoted: isEscaped = true
            case "\"": isQuoted.toggle()
            case separator where !isQuoted:
                parts.append("")
                continue
            default: break
            }
            parts[parts.count - 1].append(character)
        }
        return parts
    }

    private static func unquoted(_ text: Substring) -> String {
        guard text.count >= 2, text.first == "\"", text.last == "\"" else { return String(text) }
        var (result, isEscaped) = ("", false)
        for character in text.dropFirst().dropLast() {
            guard isEscaped || character != "\\" else {
                isEscaped = true
                continue
            }
            result.append(character)
            isEscaped = false
        }
        return result
    }

    private static func trimmed(_ text: some StringProtocol) -> Substring {
        let isBlank = { (character: Character) in character == " " || character == "\t" }
        let rest = Substring(text.drop(while: isBlank))
        return rest[..<(rest.lastIndex { !isBlank($0) }.map(rest.index(after:)) ?? rest.startIndex)]
    }
}
