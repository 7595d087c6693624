// libFuzzer's entry: `FUZZ_TARGET` says what gets its inputs.

import Glibc

@_silgen_name("LLVMFuzzerRunDriver") private func runDriver(
    _ argc: UnsafeMutablePointer<CInt>,
    _ argv: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ test: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// What strangers reach: each gets bytes, and ends the process where something does not hold.
private let targets: [String: @Sendable ([UInt8]) -> Void] = [
    "accept": fuzzAccept, "connection": fuzzConnection, "cookies": fuzzCookies, "create": fuzzCreate,
    "database": fuzzDatabaseAddress, "form": fuzzForm, "forwarded": fuzzForwarded, "idempotency": fuzzIdempotencyKey,
    "idtoken": fuzzIDToken, "json": fuzzJSON, "jwks": fuzzKeySet, "limits": fuzzLimits, "logo": fuzzLogo,
    "metadata": fuzzProviderMetadata, "names": fuzzNames, "query": fuzzQuery, "redirect": fuzzRedirectURL,
    "supplier": fuzzSupplierText, "target": fuzzTarget, "tokens": fuzzTokens, "trace": fuzzTraceParent,
]

private let chosen = getenv("FUZZ_TARGET").flatMap { targets[String(cString: $0)] }

@main enum Fuzz {
    static func main() {
        guard chosen != nil else {
            for target in targets.keys.sorted() { print(target) }
            return
        }
        var argc = CommandLine.argc
        var argv = CommandLine.unsafeArgv
        exit(
            runDriver(&argc, &argv) { bytes, count in
                chosen?(Array(UnsafeBufferPointer(start: bytes, count: count)))
                return 0
            })
    }
}
