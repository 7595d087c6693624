// A directory that commands take turns in.

internal import Foundation

/// A directory that nobody else changes through this type meanwhile, in this process or another.
struct LockedDirectory: ~Copyable {
    let path: String
    private let descriptor: CInt

    private init(path: String, descriptor: CInt) {
        self.path = path
        self.descriptor = descriptor
    }

    /// Waits for its turn, at most a minute.
    static func lock(_ path: String) async throws(CommandError) -> LockedDirectory {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw CommandError.system("cannot open the directory \(path)") }
        let directory = LockedDirectory(path: path, descriptor: descriptor)
        for _ in 0..<1200 {
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return directory }
            guard errno == EWOULDBLOCK || errno == EINTR else {
                throw CommandError.system("cannot lock the directory \(path)")
            }
            try? await Task.sleep(for: .milliseconds(50))
        }
        throw CommandError("\(path) has been in use by another admin command for a minute")
    }

    /// Unlocks, too.
    deinit { close(descriptor) }

    /// Writes a new file in one step: it is there whole or not at all.
    func write(_ text: String, as name: String) throws(CommandError) {
        // Not a name that a migration has: what a crash leaves behind is no migration.
        let draft = ".\(name).draft"
        unlinkat(descriptor, draft, 0)
        let file = openat(descriptor, draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw CommandError.system("cannot write \(path)/\(name)") }
        defer {
            close(file)
            unlinkat(descriptor, draft, 0)
        }
        guard writeAll(Array(text.utf8), to: file), fsync(file) == 0,
            linkat(descriptor, draft, descriptor, name, 0) == 0
        else { throw CommandError.system("cannot write \(path)/\(name)") }
        fsync(descriptor)
    }

    func remove(_ name: String) { unlinkat(descriptor, name, 0) }
}
