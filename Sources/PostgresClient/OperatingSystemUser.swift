internal import Foundation

/// The system's name of who runs the program; letters, digits, dots, hyphens and underscores of it.
package let operatingSystemUser: String = {
    let name = unsafe getpwuid(getuid()).map { unsafe String(cString: $0.pointee.pw_name) } ?? ""
    let allowed = name.filter { $0.isASCII && ($0.isLetter || $0.isNumber || ".-_".contains($0)) }
    return allowed.isEmpty ? "unknown" : allowed
}()
