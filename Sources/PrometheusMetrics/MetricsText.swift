/// How metrics are exposed.
package enum MetricsFormat: Sendable {
    /// Prometheus's text format 0.0.4.
    case prometheus
    /// OpenMetrics 1.0.
    case openMetrics

    package var contentType: String {
        switch self {
        case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
        case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
        }
    }
}

enum MetricsText {
    static func escapedLabel(_ text: String) -> String { escaped(text, quotes: true) }

    fileprivate static func escapedHelp(_ text: String, in format: MetricsFormat) -> String {
        escaped(text, quotes: format == .openMetrics)
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        guard text.utf8.contains(where: { $0 == UInt8(ascii: "\\") || $0 == UInt8(ascii: "\"") || $0 < 0x20 }) else {
            return text
        }
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where quotes: result += "\\\""
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

extension MetricsRegistry {
    /// All that is known, as text.
    package func text(_ format: MetricsFormat) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(256 * 1024)
        for family in all() {
            let name = family.description.name
            // A counter's family has no suffix in OpenMetrics (section 5.1).
            let isCounter = if case .counter = family.description.kind { true } else { false }
            let familyName = format == .openMetrics && isCounter ? String(name.dropLast("_total".count)) : name
            text += "# HELP \(familyName) \(MetricsText.escapedHelp(family.description.help, in: format))\n".utf8
            text += "# TYPE \(familyName) \(family.description.type)\n".utf8
            for (labels, series) in family.series {
                for sample in series.samples { Self.append(name, labels, sample, to: &text) }
            }
        }
        if format == .openMetrics { text += "# EOF\n".utf8 }
        return text
    }

    private static func append(
        _ name: String, _ labels: String, _ sample: (suffix: String, bound: String?, value: String),
        to text: inout [UInt8]
    ) {
        text += name.utf8
        text += sample.suffix.utf8
        if !labels.isEmpty || sample.bound != nil {
            text += "{".utf8
            text += labels.utf8
            if let bound = sample.bound {
                text += (labels.isEmpty ? "le=\"" : ",le=\"").utf8
                text += bound.utf8
                text += "\"".utf8
            }
            text += "}".utf8
        }
        text += " ".utf8
        text += sample.value.utf8
        text += "\n".utf8
    }
}
