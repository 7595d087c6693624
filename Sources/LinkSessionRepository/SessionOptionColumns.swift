internal import JSON
internal import LinkSessions
internal import PostgresClient

// What a manufacturer may say of a session, as it is written and read.

extension LinkSessionOptions {
    /// Of the table link_sessions, and of a statement's `new`.
    static let columns = "preferred_supplier, offered_suppliers, metadata"

    /// What is stored of the ``columns`` of `new`: see ``PostgresClient/Parameter/options(of:)``.
    static let values =
        "nullif(preferred_supplier, ''), string_to_array(nullif(offered_suppliers, ''), ','), nullif(metadata, '')::jsonb"
}

extension Parameter {
    /// The last three parameters of the statements that make sessions. Empty arrays where none has options, as is usual:
    /// `unnest` fills them up with NULLs, which costs next to nothing. An empty text stands for NULL, too.
    static func options(of all: [LinkSessionOptions]) -> [Parameter] {
        guard all.contains(where: { !$0.isEmpty }) else { return [.texts([]), .texts([]), .texts([])] }
        return [
            .texts(all.map { $0.preferredSupplier?.text ?? "" }),
            .texts(all.map { ($0.offeredSuppliers ?? []).map(\.text).joined(separator: ",") }),
            .texts(all.map { $0.metadata?.json ?? "" }),
        ]
    }
}

extension SessionMetadata {
    fileprivate var json: String {
        let object = JSONWriter.object { $0.add("metadata", members: members.map { ($0.name, $0.value) }) }
        // Of the object's one member the value.
        return String(decoding: object.dropFirst(#"{"metadata":"#.utf8.count).dropLast(), as: UTF8.self)
    }
}

extension Row {
    /// From `preferred_supplier`, `offered_suppliers` as a list with commas, and `metadata` as text.
    mutating func options() throws(DatabaseError) -> LinkSessionOptions {
        let (preferred, offered, metadata) = (try optionalText(), try optionalText(), try optionalText())
        if preferred == nil, offered == nil, metadata == nil { return LinkSessionOptions() }
        var options: (preferred: Supplier.Slug?, offered: [Supplier.Slug]?, metadata: SessionMetadata?)
        if let preferred { options.preferred = try slugs(preferred).first }
        if let offered { options.offered = try slugs(offered) }
        if let metadata { options.metadata = try self.metadata(metadata) }
        return LinkSessionOptions(
            preferredSupplier: options.preferred, offeredSuppliers: options.offered, metadata: options.metadata)
    }

    private func slugs(_ list: String) throws(DatabaseError) -> [Supplier.Slug] {
        let texts = list.split(separator: ",", omittingEmptySubsequences: false)
        let slugs = texts.compactMap { Supplier.Slug($0) }
        guard slugs.count == texts.count else { throw mismatch() }
        return slugs
    }

    private func metadata(_ json: String) throws(DatabaseError) -> SessionMetadata {
        guard let object = try? JSONObject(Array(#"{"metadata":\#(json)}"#.utf8)),
            let members = object.members("metadata"), let metadata = try? SessionMetadata(members)
        else { throw mismatch() }
        return metadata
    }
}
