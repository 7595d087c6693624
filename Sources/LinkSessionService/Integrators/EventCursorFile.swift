internal import Foundation
internal import LinkSessionRepository

/// Where a reader of the feed keeps how far it is: a file of one line, the id of an event.
struct EventCursorFile {
    let path: String

    init(path: String) { self.path = path }

    /// In the user's state directory (XDG Base Directory Specification).
    ///
    /// - Parameter name: tells one reader from another.
    init(defaultFor name: String) throws(CommandError) {
        let state =
            environmentVariable("XDG_STATE_HOME") ?? environmentVariable("HOME").map { "\($0)/.local/state" }
        guard let state, state.hasPrefix("/") else {
            throw CommandError("there is no HOME to keep the place in: name a file with --state")
        }
        path = "\(state)/link-session-service/\(name)"
    }

    /// `nil` where there is no file yet.
    func read() throws(CommandError) -> FeedPosition? {
        guard let file = FileHandle(forReadingAtPath: path) else {
            guard errno == ENOENT else { throw .system("the state file \(path) cannot be read") }
            return nil
        }
        let line = String(decoding: (try? file.read(upToCount: 64)) ?? Data(), as: UTF8.self)
        guard line.hasSuffix("\n"), let position = FeedPosition(eventID: String(line.dropLast())) else {
            throw CommandError(
                "the state file \(path) holds no event's id: remove it to begin at the feed's present end")
        }
        return position
    }

    /// Whoever stops the program or the machine in the midst of it leaves the file as it was before, or as it is then.
    func write(_ position: FeedPosition) throws(CommandError) {
        let (new, failed) = (path + ".new", "the state file \(path) cannot be written")
        let descriptor = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .system(failed) }
        let isWritten = writeLine(position.eventID, to: descriptor) && fsync(descriptor) == 0
        guard close(descriptor) == 0, isWritten, rename(new, path) == 0 else { throw .system(failed) }
    }

    /// For the user alone.
    func makeDirectory() throws(CommandError) {
        do {
            try FileManager.default.createDirectory(
                at: URL(filePath: path).deletingLastPathComponent(), withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700])
        } catch {
            throw CommandError("the directory of the state file \(path) cannot be made")
        }
    }
}
