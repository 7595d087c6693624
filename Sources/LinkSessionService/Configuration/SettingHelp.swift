// The settings in the program's help.

extension SettingList {
    /// Each variable, and below it what it is for and what it expects.
    var help: String {
        descriptions.map { setting in
            "\(setting.variable)\n\(wrapped("\(setting.help). Expects \(setting.expectation).", width: 76, indent: "    "))"
        }.joined(separator: "\n")
    }

    private func wrapped(_ text: String, width: Int, indent: String) -> String {
        var lines: [String] = []
        for word in text.split(separator: " ") {
            if let line = lines.last, line.count + 1 + word.count <= width {
                lines[lines.count - 1] = line + " " + word
            } else {
                lines.append(indent + word)
            }
        }
        return lines.joined(separator: "\n")
    }
}
