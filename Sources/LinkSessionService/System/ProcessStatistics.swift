internal import Foundation

/// What the system knows of this process.
struct ProcessStatistics {
    let cpuSeconds: Double
    let openDescriptors: Int
    let mostDescriptors: Int
    let residentBytes: Int
    let virtualBytes: Int
    let threads: Int

    /// `nil` where there is no /proc (proc(5)).
    init?() {
        guard let text = try? String(contentsOfFile: "/proc/self/stat", encoding: .utf8),
            let descriptors = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd"),
            let end = text.lastIndex(of: ")")
        else { return nil }
        // From the third field on: the second may have blanks.
        let fields = text[text.index(after: end)...].split(separator: " ")
        func field(_ number: Int) -> Int { fields.indices.contains(number - 3) ? Int(fields[number - 3]) ?? 0 : 0 }
        cpuSeconds = Double(field(14) + field(15)) / Double(sysconf(CInt(_SC_CLK_TCK)))
        threads = field(20)
        virtualBytes = field(23)
        residentBytes = field(24) * sysconf(CInt(_SC_PAGESIZE))
        // One of them was open for the look.
        openDescriptors = descriptors.count - 1
        mostDescriptors = descriptorLimit
    }
}
