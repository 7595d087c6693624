"""From raw figures to tables: medians, ratios within a round, and which targets they reach."""
import os
import re
import statistics

import chart

DOCUMENT, CHART = "docs/performance.md", "docs/performance.svg"


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def number(value, digits=0, unit=""):
    return "–" if value is None else f"{value:,.{digits}f}{unit}"


def milliseconds(microseconds):
    return number(None if microseconds is None else microseconds / 1000, 1)


def mebibytes(kib, digits=0):
    return number(None if kib is None else kib / 1024, digits)


def table(header, rows):
    """Markdown, numbers to the right, and aligned so that it reads as plain text too."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]

    def line(cells):
        first, rest = cells[0].ljust(widths[0]), [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:])]
        return "| " + " | ".join([first, *rest]) + " |"

    rule = "| " + "-" * widths[0] + " | " + " | ".join("-" * (width - 1) + ":" for width in widths[1:]) + " |"
    return "\n".join([line(header), rule, *map(line, rows)])


class Runs:
    """The runs that have some properties in common, summed up by median."""

    def __init__(self, runs, **properties):
        self.runs = [run for run in runs if all(run[key] == value for key, value in properties.items())]

    def __bool__(self):
        return bool(self.runs)

    def median(self, key):
        return median(run[key] for run in self.runs)

    def ratio(self, others, key="rate"):
        """The median of the ratios of each round."""
        by_round = {run["round"]: run[key] for run in others.runs}
        return median(run[key] / by_round[run["round"]] for run in self.runs if by_round.get(run["round"]))

    @property
    def server_us(self):
        return median(
            None if run["server_user_us"] is None else run["server_user_us"] + run["server_system_us"] for run in self.runs)

    @property
    def peak_kib(self):
        peaks = [run["peak_kib"] for run in self.runs if run["peak_kib"] is not None]
        return max(peaks) if peaks else None


# --- The parts. Each returns Markdown.

def creates(part):
    found = []
    for connections in sorted({run["connections"] for run in part["runs"]}):
        service = Runs(part["runs"], server="service", connections=connections)
        rows = []
        for name in part["servers"]:
            runs = Runs(part["runs"], server=name, connections=connections)
            rows.append([
                f"**{name}**" if name == "service" else name, number(runs.median("rate")),
                number(service.ratio(runs), 2), milliseconds(runs.median("p50_us")), milliseconds(runs.median("p99_us")),
                number(runs.server_us), number(runs.median("database_us")), mebibytes(runs.peak_kib),
                number(runs.median("wal_bytes"))])
        found.append(f"{connections} connections:\n\n" + table(
            ["", "creates/s", "service ÷ it", "p50 ms", "p99 ms", "CPU µs", "PostgreSQL CPU µs", "peak MiB", "WAL bytes"], rows))
    return "\n\n".join(found)


LOOKUP_NAMES = {
    "live": "`GET /health/live`, the bare GET", "get": "GET by token, by the manufacturer",
    "first_look": "GET by token, by the Authenticator: first looks", "next_look": "GET by token, by the Authenticator: later looks",
    "complete": "complete, each session once", "create": "create"}


def lookups(part):
    live, create = (Runs(part["runs"], kind=kind) for kind in ("live", "create"))
    rows = []
    for kind, name in LOOKUP_NAMES.items():
        runs = Runs(part["runs"], kind=kind)
        if not runs:
            continue
        rows.append([
            name, number(runs.median("rate")), number(runs.ratio(create), 2), number(runs.ratio(live), 2),
            milliseconds(runs.median("p50_us")), milliseconds(runs.median("p99_us")), number(runs.server_us),
            number(runs.median("database_us")), number(runs.median("wal_bytes"))])
    found = table(
        ["64 connections", "requests/s", "÷ creates", "÷ bare GET", "p50 ms", "p99 ms", "CPU µs", "PostgreSQL CPU µs",
         "WAL bytes"], rows)
    if part.get("event_bytes"):
        found += (f"\n\nThe Authenticator's first look at a session is recorded as an event, which takes "
                  f"{number(part['event_bytes'])} bytes on disk.")
    return found


def scale(part):
    rows = []
    empty = Runs(part["runs"], kind="create", purge=False, rows_before=0)
    for when, kind, purge in (
            ("", "create", False), (", just after a checkpoint", "create_after_checkpoint", False), (", purging", "create", True)):
        for size in part["sizes"]:
            create = Runs(part["runs"], kind=kind, purge=purge, rows_before=size)
            get = Runs(part["runs"] if kind == "create" else [], kind="get", purge=purge, rows_before=size)
            if not create:
                continue
            live = Runs(part["runs"], kind="live", purge=False, rows_before=size)
            rows.append([
                f"{size:,}{when}", number(create.median("rate")), number(create.ratio(empty), 2),
                milliseconds(create.median("p50_us")), milliseconds(create.median("p99_us")),
                number(create.median("database_us")), number(create.median("wal_bytes")), number(create.median("wal_image_bytes")),
                number(get.median("rate")), number(get.ratio(create), 2), number(get.ratio(live), 2),
                milliseconds(get.median("p99_us")), number(create.median("purged")) if purge else "–"])
    found = table(
        ["rows before", "creates/s", "÷ at 0", "p50 ms", "p99 ms", "PostgreSQL CPU µs", "WAL bytes", "in page images", "GETs/s",
         "÷ creates", "÷ bare GET", "GET p99 ms", "rows purged"], rows)
    sizes = [
        [f"{fill['rows']:,}", *(number(fill[key] / 2**20, 1) for key in ("table", "primary_key", "other_indexes")),
         number(sum(fill[key] for key in ("table", "primary_key", "other_indexes")) / fill["rows"])]
        for fill in part["fills"]]
    settings = ", ".join(f"`{name} = {value}`" for name, value in part["settings"].items())
    notes = (f"64 connections; PostgreSQL with {settings}. WAL bytes are those of one create, with those in images of whole pages named apart. The rows lie over the past "
             f"{part['filled_days']} days, so that a purge that keeps {part['kept_days']} has work to do; GET on 0 rows is "
             f"GET on 10,000. ")
    notes += "" if part["purge_measured"] else "This build has no `purge`, so none was measured."
    return (f"{found}\n\n{notes.strip()}\n\n"
            + table(["rows", "table MiB", "primary key MiB", "other indexes MiB", "bytes a row"], sizes))


def idle(part):
    held = part["held"]
    states = table(
        ["the service", "resident MiB", "threads", "descriptors"],
        [[name, mebibytes(held[key]["VmRSS"], 1), held[key]["Threads"], held[key]["descriptors"]]
         for name, key in (("at rest, just started", "at rest"), (f"under load, {part['connections']} connections", "under load"),
                           (f"at rest, after {part['created']:,} creates", "after"))])
    peers = table(
        ["", "ms to the first 201", "resident MiB at rest", "threads"],
        [[peer["server"], number(median(peer["first_201_s"]) * 1000), mebibytes(peer["at_rest"]["VmRSS"], 1),
          peer["at_rest"]["Threads"]] for peer in part["peers"]])
    ready = median(start["ready_s"] for start in part["starts"]) * 1000
    return (f"{states}\n\nPeak over all of it: {mebibytes(held['peak_kib'], 1)} MiB. From the start of the process to the first "
            f"`200` of `/health/ready`: {number(ready)} ms.\n\n{peers}")


def _outcomes(probe, kind, statuses):
    """(p50, p99, count) of a probe's outcomes, weighted to the slowest where there are several."""
    found = [facts for outcome, facts in probe[kind].items() if outcome in statuses]
    if not found:
        return None, None, 0
    return (max(facts["p50_ms"] for facts in found), max(facts["p99_ms"] for facts in found),
            sum(facts["count"] for facts in found))


def overload(part):
    rows = []
    for level in part["levels"]:
        accepted = _outcomes(level["probe"], "kept", ("201",))
        fresh = _outcomes(level["probe"], "fresh", ("201",))
        refused = max(
            (facts["p99_ms"] for kind in ("kept", "fresh") for outcome, facts in level["probe"][kind].items() if outcome == "503"),
            default=None)
        name = f"{level['connections']:,}" + (f" beside {level['idle']:,} idle" if level.get("idle") else "")
        rows.append([
            name, level.get("reason", "–"), f"{level['held']['descriptors']:,}", number(level["rate"]),
            number(level.get("against_best"), 2), number(level["refused_rate"]), number(accepted[0]), number(accepted[1]),
            number(fresh[1]), number(refused), mebibytes(level["peak_kib"])])
    return table(
        ["connections", "which is", "descriptors", "creates/s", "÷ best", "503s/s", "201 p50 ms", "201 p99 ms",
         "new connection, 201 p99 ms", "503 p99 ms", "peak MiB"], rows) + (
        "\n\nThe latencies are those of a few callers beside the flood, on connections made before it, and on a new one for each "
        "create.")


def pages(part):
    return table(
        ["requests a second", "requests", "p50 ms", "p99 ms", "slowest ms", "page kB", "stylesheet and icon kB"],
        [[part["pace"], f"{part['requests']:,}", number(part["p50_ms"], 1), number(part["p99_ms"], 1), number(part["max_ms"], 1),
          number(part["page_bytes"] / 1000, 1), number(part["files_bytes"] / 1000, 1)]])


PARTS = {
    "creates": creates, "lookups": lookups, "scale": scale, "idle": idle, "overload": overload, "pages": pages}


# --- The targets.

def targets(parts):
    """Rows of (target, measured, reached), as far as what they need was measured."""
    found = []

    def target(text, value, reached, digits=2, unit=""):
        if value is not None:
            found.append([text, number(value, digits, unit), "yes" if reached(value) else "**no**"])

    if "creates" in parts:
        runs, names = parts["creates"]["runs"], parts["creates"]["servers"]

        def at(name, connections):
            return Runs(runs, server=name, connections=connections)

        for name, wanted in (("go-batch", 1.0), ("go-batch", 1.1), ("go", 2.5), ("fastapi", 7.0), ("pgbench", 1.4)):
            if name in names:
                target(f"creates/s at 64 connections, ÷ {name}: at least {wanted}{' (the aim)' if wanted == 1.1 else ''}", at("service", 64).ratio(at(name, 64)),
                       lambda value, wanted=wanted: value >= wanted)
        others = [at(name, 64).median("p99_us") for name in names if name != "service"]
        target("p99 at 64 connections, ÷ the best of the others: below 1", at("service", 64).median("p99_us") / min(others),
               lambda value: value < 1)
        if "go-batch" in names:
            target("p50 at 16 connections, ÷ go-batch's: below 1.3", at("service", 16).ratio(at("go-batch", 16), "p50_us"),
                   lambda value: value < 1.3)
        target("peak memory: below 64 MiB", Runs(runs, server="service").peak_kib / 1024, lambda value: value < 64, 1, " MiB")
    if "scale" in parts:
        runs, largest = parts["scale"]["runs"], max(parts["scale"]["sizes"])

        def of(kind, rows):
            return Runs(runs, kind=kind, purge=False, rows_before=rows)

        target(f"creates/s at {largest:,} rows, ÷ at none: at least 0.9", of("create", largest).ratio(of("create", 0)),
               lambda value: value >= 0.9)
        target(f"GETs/s at {largest:,} rows, ÷ creates: at least 1.2", of("get", largest).ratio(of("create", largest)),
               lambda value: value >= 1.2)
        target(f"GETs/s at {largest:,} rows, ÷ a bare GET's: at least 0.7", of("get", largest).ratio(of("live", largest)),
               lambda value: value >= 0.7)
    if "pages" in parts:
        part = parts["pages"]
        target("a session's page at 50 requests a second, p99: below 20 ms", part["p99_ms"], lambda value: value < 20, 1, " ms")
        target("a session's page with its stylesheet and icon: below 30 kB", (part["page_bytes"] + part["files_bytes"]) / 1000,
               lambda value: value < 30, 1, " kB")
    if "overload" in parts:
        for level in parts["overload"]["levels"]:
            if level.get("reason") in ("2 times the best", "10 times the best"):
                target(f"creates/s at {level['connections']:,} connections, {level['reason']}, ÷ the best rate: at least 0.9",
                       level["against_best"], lambda value: value >= 0.9)
    return found


def conditions(figures, part):
    """What a table's figures were measured on, in one line."""
    machine = figures["machine"]
    settings = f" with {', '.join(figures['settings'])}" if figures["settings"] else ""
    taken = f"runs of {figures['seconds']} s" + (
        f", {figures['rounds']} round{'s in turns' if figures['rounds'] > 1 else ''}" if part in ("creates", "lookups", "scale", "overload") else "")
    versions = figures["versions"]
    with_peers = ""
    if part in ("creates", "idle"):
        with_peers = f", Go {versions['go']}" + (
            f", FastAPI {versions['fastapi']} with asyncpg {versions['asyncpg']} on Python {versions['python']}"
            if "fastapi" in versions else "; **FastAPI could not be installed and is left out**")
    return (f"{figures['date']}; {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB; Linux {machine['kernel']}; "
            f"PostgreSQL {machine['postgresql']}{settings}; wrk {versions['wrk']}{with_peers}; {taken}.")


TARGETS = ["target", "measured", "reached"]


def text(figures):
    """For the terminal."""
    found = [f"{conditions(figures, 'creates')}{' QUICK: short runs, for a first look.' if figures['quick'] else ''}"]
    for name, part in figures["parts"].items():
        found.append(f"{name} ({part['took_s']:.0f} s)\n\n{PARTS[name](part)}")
    if rows := targets(figures["parts"]):
        found.append(table(TARGETS, rows))
    return "\n\n".join(found) + "\n"


def write_documents(figures):
    """Puts each part that was measured between its markers; what stands outside them is kept."""
    with open(DOCUMENT) as file:
        document = file.read()

    def put(name, block):
        nonlocal document
        pattern = re.compile(rf"(<!-- measured: {name} -->\n).*?(<!-- end: {name} -->)", re.DOTALL)
        if not pattern.search(document):
            raise SystemExit(f"{DOCUMENT} has no markers for {name}")
        document = pattern.sub(lambda found: f"{found.group(1)}\n{block}\n\n{found.group(2)}", document)

    for name, part in figures["parts"].items():
        put(name, f"{conditions(figures, name)}\n\n{PARTS[name](part)}")
    if set(PARTS) == set(figures["parts"]):
        put("targets", table(TARGETS, targets(figures["parts"])))
    with open(DOCUMENT + ".new", "w") as file:
        file.write(document)
    os.replace(DOCUMENT + ".new", DOCUMENT)
    if "creates" in figures["parts"]:
        part, panels = figures["parts"]["creates"], []
        for connections in sorted({run["connections"] for run in part["runs"]}):
            servers = {name: Runs(part["runs"], server=name, connections=connections) for name in part["servers"]}
            panels.append((connections, [
                (name, runs.median("rate"), servers["service"].ratio(runs), runs.median("p99_us"))
                for name, runs in servers.items()]))
        with open(CHART, "w") as file:
            file.write(chart.draw(panels, conditions(figures, "lookups")))
