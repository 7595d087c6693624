// Tokens and ids that no session has.

import LinkSessions

/// An id and a token, well-formed both, that no session has.
let unknownID = "00ffffff-ffff-7fff-bfff-ffffffffffff"
let unknownToken = LinkSessionID(unknownID).map { LinkToken(id: $0, secret: (0, 0, 0)).characters } ?? ""

/// The id of the session of a token.
func sessionID(of token: String) -> String { LinkToken(token)?.id.text ?? "" }

/// Texts in a token's place that can be none, nor an id.
let malformedTokens =
    [
        "x", "abc123", "%2e%2e", "%00", "'%20OR%20''='", String(repeating: "%C3%A9", count: 54),
        String(repeating: "A", count: 5000), "null", "*", "0", "-1", "%7Blink_token%7D",
        // Of the right length, and the id within is none: no version, or another one.
        String(repeating: "A", count: 54), String(repeating: "_", count: 53) + "w",
        // What tokens were before: 32 bytes.
        String(repeating: "A", count: 43), String(repeating: "A", count: 42) + "B",
    ]
    + [
        String(unknownToken.dropLast()), unknownToken + "A", unknownToken + "=", unknownToken + "==",
        String(unknownToken.dropLast()) + "B", String(unknownToken.dropLast()) + "+",
        String(unknownToken.dropLast()) + "%20", String(unknownToken.dropLast()) + "%00", unknownToken + "%0a",
        "%20" + unknownToken, unknownToken + "." + unknownToken,
    ]
    + malformedIDs

/// UUIDs that are no session's id, since they are none of version 7 in canonical form.
let malformedIDs = [
    "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "6f9619ff-8b86-4011-b42d-00c04fc964ff", "0190163d-8694-739b-0ea5-966c26f8ad91",
    unknownID.uppercased(), "%7B\(unknownID)%7D", "urn:uuid:\(unknownID)", unknownID.replacing("-", with: ""),
    String(unknownID.dropLast()), unknownID + "0", unknownID + "%0a", "%20" + unknownID,
    String(unknownID.dropLast()) + "g",
    unknownID.replacing("-", with: "_"), unknownID.replacing("-", with: "%2D"), "'" + unknownID.dropLast(),
    String(unknownID.dropLast(2)) + "%C3%A9",
]
