internal import ArgumentParser
internal import LinkSessionRepository
internal import LinkSessions

struct Funnel: ReportCommand {
    static let configuration = CommandConfiguration(
        abstract: "Count how far sessions came, and why the others ended, by language and supplier.",
        discussion: "Holds nobody's data. A session is counted at each supplier at which its user began to sign in.")

    @Option(help: "The sessions that were made so long ago or later, such as 24h or 30d.") var since = "7d"
    @Option(help: "The manufacturer's name; by default all.") var manufacturer: String?
    @Option(help: "A supplier's slug: only sessions whose users began to sign in there, and what became of them there.")
    var supplier: String?
    @OptionGroup var options: ReportOptions

    func report(from repository: AdminRepository) async throws -> Report {
        let seconds = try seconds(since, for: "--since", atLeast: 60, atMostDays: 400)
        let slug = try supplier.map { try Supplier.Slug(argument: $0, for: "--supplier") }
        let name = try manufacturer.map { try DisplayText($0, for: "--manufacturer") }
        var owner: Manufacturer.ID?
        if let name { owner = try await repository.manufacturer(named: name) }
        let funnel = try await repository.funnel(ofSeconds: Int64(seconds), manufacturer: owner, supplier: slug)
        return Report(
            text: funnel.text,
            json: [
                "since": funnel.since, "until": funnel.until, "manufacturer": name?.text, "supplier": slug?.text,
                "all": funnel.all.json, "by_language": funnel.byLanguage.mapValues(\.json),
                "by_supplier": funnel.bySupplier.mapValues(\.json),
            ])
    }
}

extension FunnelReport {
    fileprivate var text: String {
        let languages = byLanguage.sorted { $0.key < $1.key }
        let suppliers = bySupplier.sorted { ($1.value.created, $0.key) < ($0.value.created, $1.key) }
        let columns = [("ALL", all)] + languages.map { ($0.key, $0.value) } + suppliers.map { ($0.key, $0.value) }
        let ends = all.ends.merging(bySupplier.values.flatMap(\.ends)) { $0 + $1 }.sorted {
            ($1.value, $0.key) < ($0.value, $1.key)
        }
        func row(_ name: String, _ count: (FunnelSteps) -> Int64) -> [String] {
            [name.replacing("_", with: " ")] + columns.map { String(count($0.1)) }
        }
        let header = [""] + columns.map(\.0)
        let steps = FunnelSteps.names.enumerated().map { index, name in
            row(name, { $0.counts[index] }) + [percentage(all.counts[index])]
        }
        return """
            \(timestamp(unixSeconds: since)) to \(timestamp(unixSeconds: until))
            \(table([header + ["OF ALL"]] + steps))

            how they ended
            \(table([header] + ends.map { end in row(end.key) { $0.ends[end.key] ?? 0 } }))
            """
    }

    private func percentage(_ count: Int64) -> String {
        guard all.created > 0 else { return "" }
        let tenths = count * 1000 / all.created
        return "\(tenths / 10).\(tenths % 10) %"
    }
}

extension FunnelSteps {
    fileprivate var created: Int64 { counts[0] }

    fileprivate var json: JSONMembers {
        var members: JSONMembers = ["ended": ends]
        for (name, count) in zip(Self.names, counts) { members = members.adding(name, count) }
        return members
    }
}
