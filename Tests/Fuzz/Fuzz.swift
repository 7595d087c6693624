// libFuzzer's entry: `FUZZ_TARGET` says what gets its inputs.

import Glibc

@_silgen_name("LLVMFuzzerRunDriver") private func runDriver(
    _ argc: UnsafeMutablePointer<CInt>,
    _ argv: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ test: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

@main enum Fuzz {
    static func main() {
        var argc = CommandLine.argc
        var argv = CommandLine.unsafeArgv
        switch getenv("FUZZ_TARGET").map({ String(cString: $0) }) {
        case "target":
            exit(
                runDriver(&argc, &argv) { bytes, count in
                    fuzzTarget(Array(UnsafeBufferPointer(start: bytes, count: count)))
                    return 0
                })
        default:
            exit(
                runDriver(&argc, &argv) { bytes, count in
                    fuzzConnection(Array(UnsafeBufferPointer(start: bytes, count: count)))
                    return 0
                })
        }
    }
}
