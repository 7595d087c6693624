internal import LinkSessions

extension DisplayText {
    init(_ text: String, isBrand: Bool = false, for argument: String) throws(CommandError) {
        do throws(DisplayTextError) {
            self = isBrand ? try DisplayText(brand: text) : try DisplayText(text)
        } catch {
            throw .argument(argument, expects: error.expectation)
        }
    }
}

extension RedirectURL {
    /// A URL to be registered, in its canonical form: the query is the caller's own at every request, so it has none.
    init(toRegister text: String, for argument: String) throws(CommandError) {
        do throws(ValidationError) {
            self = try RedirectURL(text).canonical
        } catch {
            throw .argument(argument, expects: "a redirect URL that the API would accept: \(error.message)")
        }
        guard !text.contains("?") else {
            throw .argument(argument, expects: "a URL without a query, which is the caller's own at every request")
        }
    }
}

extension RedirectURL {
    init(toCheck text: String) throws(CommandError) {
        do throws(ValidationError) {
            try self.init(text)
        } catch {
            throw .redirectNotAllowed(error.message)
        }
    }
}

extension CommandError {
    static func redirectNotAllowed(_ why: String) -> CommandError { CommandError("not allowed: \(why)", exitCode: 3) }
}

extension ManufacturerUserID {
    init(_ text: String, for argument: String) throws(CommandError) {
        do throws(ValidationError) {
            try self.init(text)
        } catch {
            throw .argument(argument, expects: "a user id as the API takes it: \(error.message)")
        }
    }
}

extension Supplier.Slug {
    init(argument text: String, for argument: String = "SLUG") throws(CommandError) {
        guard let slug = Supplier.Slug(text) else {
            throw .argument(argument, expects: "1 to 40 of a-z, 0-9 and single inner hyphens")
        }
        self = slug
    }
}

/// A whole number with a unit: `90d`, `24h`, `30m`, `45s`.
func seconds(_ text: String, for argument: String, atLeast least: Int, atMostDays most: Int) throws(CommandError)
    -> Int
{
    let units: [Character: Int] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
    guard let unit = text.last.flatMap({ units[$0] }), text.dropLast().allSatisfy({ ("0"..."9").contains($0) }),
        let number = Int(text.dropLast()), number <= most * 86_400, (least...most * 86_400).contains(number * unit)
    else {
        throw .argument(
            argument, expects: "a whole number with a unit, s, m, h or d, such as 24h; from \(least)s to \(most)d")
    }
    return number * unit
}
