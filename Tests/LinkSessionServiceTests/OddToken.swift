// ID tokens of any form, signed by a scripted provider: their claims may be of any type.

import Foundation
import JWTKit
import LinkSessions
import TokenGenerator

enum OddToken {
    /// Keys for tests alone.
    private static let signingKey = SigningKey(seed: [UInt8](repeating: 3, count: 32))
    static let modulus =
        "yIj6pmAM-JHunF07MrxInzthqIxRtd3t_ykYGfVaoyW7uZJXOzzFnGLYVWUHDnvIaujy_UhUY0ylYRdcoOnjp8zTcKevqW-9obp0AEzRR-BwN1H5ZCTgNzA3FebbEviJA9mG5DGJnPRlAHoo9dTLlfa-dFWGHaYucwr4MDSAMzT5b_0hxhMPgh3ECcNp5RfwhZ1GDQfT7gfsf8qNHhBsHcwN3X1pXjG5UZTkFd6Fzg5Qqgd8uvm8cUYMCRDKLpT8pqP77QDgmmi_kww4ErGLgtLHSay7N_yJShG85AeugHiMfCpBDvtsBTEVODbaQjCPhCHO5r7jGVS6qTj6bpRwXw"
    private static let exponent =
        "QaRZC9IAHPPD_AomoRZx3TGWZ5I7AwG48J-2hHTEbQgieX22MS1U8DqI3vcZhrutIJXNSGx_Nxv1PKFlkETPYPOSuNsjDJ8Hn2OFqj16-gC1Kt6Z-JZ7kIUnWvN8_ao-S3TOi27NwYNcdnoGY2X7GEUzFaiTJKxrovvRvxHIbzoRHdUli5_iq0KmF-3EmXa34rywXnUt1Zb250C-FlPCIkFl5ph-iw-iB9uiJu_bgPwulIN-GE5oK_bIGFSkKNG7FuToYbMiuWBYzqD0kw_bkJEzgeUdFXMPMMwv4iHwa69MN0HUQeZ4LFotEn9Y5pd9Y2SH8H2xxIXKM_Ejqr_QSQ"
    static let shortModulus =
        "sRxFwV6jUMMtttpFIBgjqVuGkuWOafj1ygi60b4XRpfwFZtOlXljdQfHpwIGlCXacEV9z5AAl0ixkZCNCJFvEJGwpyqGyHgc_I3YmlJ0KIqt5Z0Rd93FbLHsJ-nm29PYx9iyYk3nypOX9zCsfv1K9ibL0gOkKxwKmfN1gQKy_E0"

    /// The published half of ``signingKey``, with further members.
    static func edKey(_ more: String = #""kid":"ed""#) -> String {
        #"{"kty":"OKP","crv":"Ed25519","x":"\#(Base64URL.encode(signingKey?.publicKey ?? []))"\#(more.isEmpty ? "" : ",")\#(more)}"#
    }

    static func rsaKey(_ n: String = modulus, e: String = "AQAB", _ more: String = #""kid":"rsa""#) -> String {
        #"{"kty":"RSA","n":"\#(n)","e":"\#(e)",\#(more)}"#
    }

    static func token(
        of issuer: String, _ subject: String, nonce: String, _ script: ScriptedProvider.Script
    ) async -> String? {
        var header: [String: any Sendable] = ["alg": "EdDSA", "kid": "ed"]
        let now = Date().timeIntervalSince1970
        var payload: [String: any Sendable] = [
            "iss": issuer, "sub": subject, "aud": "client-1", "exp": Int(now + 300), "iat": Int(now), "nonce": nonce,
        ]
        if let algorithm = script.rsaAlgorithm { return await rsaToken(payload, algorithm) }
        script.changePayload?(&header, &payload)
        payload = payload.filter { $0.value as? String != "{none}" }
        let parts = [header, payload].compactMap { try? JSONSerialization.data(withJSONObject: $0) }
        let signed = parts.map { Base64URL.encode(Array($0)) }.joined(separator: ".")
        guard let signature = try? signingKey?.signature(of: Array(signed.utf8)) else { return nil }
        return "\(signed).\(Base64URL.encode(signature))"
    }

    private struct Claims: JWTPayload {
        let iss, sub, aud, nonce: String
        let exp, iat: Int

        func verify(using _: some JWTAlgorithm) {}
    }

    private static func rsaToken(_ payload: [String: any Sendable], _ algorithm: String) async -> String? {
        guard let data = try? JSONSerialization.data(withJSONObject: payload),
            let claims = try? JSONDecoder().decode(Claims.self, from: data),
            let key = try? Insecure.RSA.PrivateKey(modulus: modulus, exponent: "AQAB", privateExponent: exponent)
        else { return nil }
        let kid = JWKIdentifier(string: "rsa")
        let digest: DigestAlgorithm =
            algorithm.hasSuffix("256") ? .sha256 : algorithm.hasSuffix("384") ? .sha384 : .sha512
        let keys = JWTKeyCollection()
        if algorithm.hasPrefix("RS") {
            await keys.add(rsa: key, digestAlgorithm: digest, kid: kid)
        } else {
            await keys.add(pss: key, digestAlgorithm: digest, kid: kid)
        }
        return try? await keys.sign(claims, kid: kid)
    }
}
