"""Where a fault can be put into the sources, and what it is there."""
import re
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

# What only people read, and what no test can notice without becoming a copy of it.
SKIPPED_FILES = re.compile(r"/(Logging|Metrics|PrometheusMetrics)/|/(SettingList|ErrorAnswers|Application)\.swift$")
SKIPPED_LINES = re.compile(r"logger|\bhelp\b|description|reserveCapacity|minimumCapacity|@inlin|#if|precondition")

# What no test can notice, and why: a file, some text of it, and that text with the fault.
CANNOT_BE_NOTICED = [
    ("Sources/HTTPServer/ConnectionHandler.swift", "next < armed", "next <= armed",
     "a timer is armed again for the time for which it is armed"),
    ("Sources/HTTPServer/ConnectionPlaces.swift", "further > 0", "further >= 0",
     "it is never 0: where as much is wanted as before, that was returned before"),
    ("Sources/JSON/JSONObject.swift",
     """guard take(UInt8(ascii: "]")) else { throw malformedHere() }\n        return elements""",
     """guard true else { throw malformedHere() }\n        return elements""",
     "it was read as JSON before, and its brackets close"),
    ("Sources/LinkSessionRepository/EventFeed.swift", " position > 0 AND", " position >= 0 AND",
     "the position behind which is asked is not negative; this comparison is what an index asks for"),
    ("Sources/LinkSessionRepository/EventFeed.swift",
     "e.position > 0 AND e.position >", "e.position >= 0 AND e.position >",
     "the same"),
    ("Sources/TokenGenerator/SHA256.swift", "length == 32", "true",
     "OpenSSL gives no other length; the guard stays for the day on which it would"),
    ("migrations/0004_partitions.sql", "%3$I < $2", "%3$I <= $2",
     "the border of two days is an id without a version, and no session has one"),
    ("migrations/0004_partitions.sql", "session_id < free AND expires_at", "session_id <= free AND expires_at",
     "the same"),
    ("migrations/0008_event_feed.sql", "e.session_id < before", "e.session_id <= before",
     "the id is that of a session, of which the same is asked; this names the partitions of the events"),
]


@dataclass
class Place:
    """`start` to `end` of a file's text is `after` while the mutant of this number is awake: in Swift by `mutated`. The `lot`
    decides whether it is chosen."""

    file: Path
    start: int
    end: int
    before: str
    after: str
    mutated: str = ""
    lot: str = ""
    line: int = 0
    number: int = 0

    @property
    def layer(self):
        return self.file.parts[1] if self.file.parts[0] == "Sources" else "migrations"

    def __str__(self):
        short = lambda text: " ".join(text.split())[:70]
        return f"{self.file}:{self.line}  {short(self.before)}  ->  {short(self.after)}"


def masked(text):
    """The text with comments and strings blanked, so that only code is found in it."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|#*"""(?:.|\n)*?"""#*|#"[^\n]*?"#|"(?:\\.|[^"\\\n])*"', re.S)
    return pattern.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def conditions(code):
    """(keyword, clauses) of each statement with conditions; a clause is from where to where."""
    for match in re.finditer(r"\b(guard|if|while)\s", code):
        depth, start, position, clauses = 0, match.end(), match.end(), []
        while position < len(code):
            byte = code[position]
            if byte in "([{":
                if byte == "{" and depth == 0 and match[1] != "guard":
                    break
                depth += 1
            elif byte in ")]}":
                depth -= 1
            elif depth == 0 and byte == ",":
                clauses.append((start, position))
                start = position + 1
            elif depth == 0 and match[1] == "guard" and re.match(r"\selse\b", code[position:]):
                break
            if depth < 0:
                break
            position += 1
        else:
            continue
        clauses.append((start, position))
        yield match[1], clauses


TURNED = {" < ": " <= ", " <= ": " < ", " > ": " >= ", " >= ": " > ", " == ": " != ", " != ": " == ", " && ": " || ",
          " || ": " && "}
NO_CONDITION = re.compile(r"\b(let|var|case|try|await|unsafe|inout)\b|#|\$0|&\w")


def in_swift(file, text):
    code = masked(text)

    def place(start, end, after, mutated):
        return Place(file, start, end, text[start:end], after, mutated)

    for keyword, clauses in conditions(code):
        for start, end in clauses:
            clause = text[start:end]
            start += len(clause) - len(clause.lstrip())
            clause, blank = clause.strip(), code[start : start + len(clause.strip())]
            end = start + len(clause)
            if not clause or NO_CONDITION.search(clause) or "\n" in clause:
                continue
            if keyword == "guard":
                yield place(start, end, "true", f"(MUTANT || ({clause}))")
            elif keyword == "if":
                yield place(start, end, f"!({clause})", f"(MUTANT != ({clause}))")
            for old, new in TURNED.items():
                if blank.count(old) == 1:
                    at = blank.index(old)
                    turned = clause[:at] + new + clause[at + len(old) :]
                    yield place(start, end, turned, f"(MUTANT ? ({turned}) : ({clause}))")
    for match in re.finditer(r"\breturn (true|false)\b", code):
        other = "false" if match[1] == "true" else "true"
        yield place(match.start(1), match.end(1), other, f"(MUTANT ? {other} : {match[1]})")
    for match in re.finditer(r" [+-] (1)\b(?![.\d_])", code):
        yield place(match.start(1), match.end(1), "0", "(MUTANT ? 0 : 1)")
    for match in re.finditer(r"(?:seconds|milliseconds|minutes)(?:\(|: )(\d+)|static let \w+ = (\d[\d_]*(?: \* \d+)*)$"
                             r"|\(\d\.\.\.(\d+)\)", code, re.M):
        group = next(index for index in (1, 2, 3) if match[index])
        value = match[group]
        yield place(match.start(group), match.end(group), f"10 * {value}", f"(MUTANT ? 10 : 1) * {value}")
    for match in re.finditer(r'(?<!#)"""\n(?:.|\n)*?"""', text):
        if re.search(r"\b(SELECT|INSERT|UPDATE|DELETE)\b", match[0]):
            for start, end, after in in_statement(text, match.start(), match.end()):
                yield place(start, end, after, f'\\(MUTANT ? "{after}" : "{text[start:end]}")')


SQL = {r" < ": " <= ", r" <= ": " < ", r" > ": " >= ", r" >= ": " > ", r" AND ": " OR ", r" IS NULL": " IS NOT NULL",
       r" IS NOT NULL": " IS NULL", r" DESC\b": " ASC", r" FOR UPDATE\b": "", r"\bNOT EXISTS": "EXISTS",
       r"\b10 minutes": "100 minutes", r" \+ 1\b": " + 0"}


def in_statement(text, start, end):
    for old, new in SQL.items():
        for match in re.finditer(old, text[start:end]):
            line = text[: start + match.start()].rpartition("\n")[2]
            if "--" not in line and "COMMENT" not in line and "BETWEEN" not in line:
                yield start + match.start(), start + match.end(), new


def in_migration(file, text):
    for start, end, after in in_statement(text, 0, len(text)):
        yield Place(file, start, end, text[start:end], after)


def cannot_be_noticed(place, text):
    for file, right, faulty, _ in CANNOT_BE_NOTICED:
        start = text.find(right, max(0, place.end - len(right)))
        if str(place.file) == file and 0 <= start <= place.start:
            if text[start : place.start] + place.after + text[place.end : start + len(right)] == faulty:
                return True
    return False


def chosen(seed, count):
    """So many places, of each layer as many as its share of them and at least two, no two of a file's overlapping; and of
    each layer some to take instead of those that do not compile. What a place is decides whether it is chosen, and not how
    many others there are: a change of the sources changes the choice there alone."""
    layers = {}
    for file in sorted([*Path("Sources").rglob("*.swift"), *Path("migrations").glob("*.sql")]):
        if SKIPPED_FILES.search(str(file)):
            continue
        text = file.read_text()
        lines = text.splitlines()
        ranks = Counter()
        for place in (in_swift if file.suffix == ".swift" else in_migration)(file, text):
            place.line = text[: place.start].count("\n") + 1
            line = lines[place.line - 1]
            if not SKIPPED_LINES.search(line) and not cannot_be_noticed(place, text):
                what = f"{seed} {file} {line.strip()} {place.before} {place.after}"
                ranks[what] += 1
                place.lot = sha256(f"{what} {ranks[what]}".encode()).hexdigest()
                layers.setdefault(place.layer, []).append(place)
    total = sum(map(len, layers.values()))
    wanted = {layer: min(len(places), max(2, round(count * len(places) / total))) for layer, places in layers.items()}
    while sum(wanted.values()) > count:
        wanted[max(wanted, key=wanted.get)] -= 1
    result, spares = [], {}
    for layer in sorted(layers):
        taken = []
        for place in sorted(layers[layer], key=lambda place: place.lot):
            apart = all(
                place.file != other.file or place.end <= other.start or other.end <= place.start for other in taken)
            if len(taken) < 2 * wanted[layer] and apart:
                taken.append(place)
        spares[layer] = taken[wanted[layer] :]
        result += sorted(taken[: wanted[layer]], key=lambda place: (str(place.file), place.start))
    for number, place in enumerate(result, 1):
        place.number = number
    return result, spares
