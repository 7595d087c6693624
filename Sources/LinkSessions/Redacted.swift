/// A secret or personal data: neither prints nor mirrors itself, so that no log line and no error holds it by accident.
package protocol Redacted: CustomStringConvertible, CustomReflectable {}

extension Redacted {
    package var description: String { "\(Self.self)(redacted)" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
