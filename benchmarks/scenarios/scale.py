"""Creates and look-ups on tables of up to ten million rows, with the purge and without."""
import threading
import time

import load
import machine
from machine import Failure
from servers import Server
from tables import Runs, at_least, markdown, milliseconds, number, target

IN_ROUNDS, WITH_PEERS = True, False

# What the purge keeps, and over how many days the rows lie that it meets.
KEPT_DAYS, FILLED_DAYS = 30, 40

# What docs/scaling.md advises for such tables: none of it touches durability.
LARGE = {"shared_buffers": "4GB", "max_wal_size": "8GB", "checkpoint_timeout": "30min"}

# A create writes to another page of the key each; with so many a page nearly all have been written to.
CREATES_A_PAGE = 4


def measure(bench):
    """Creates and look-ups on a table of none, a million and ten million rows, in turns, with the purge and without.

    As on a server that has run for some time: the rows are in memory, and each that is looked up was looked up before.
    After a checkpoint each page goes into the log whole when it is first written to: creates are measured right then,
    and again when most pages have been.
    """
    with bench.database.having(LARGE):
        return _scale(bench)


def _scale(bench):
    sizes = (0, 20_000, 200_000) if bench.quick else (0, 1_000_000, 10_000_000)
    fills = []
    for rows in sizes[1:]:
        began = time.monotonic()
        name = f"filled_{rows}"
        bench.database.copy("blank", name)
        bench.database.fill_past(name, rows, FILLED_DAYS)
        fills.append({"rows": rows, "seconds": time.monotonic() - began, **bench.database.sizes(name)})
        bench.say(f"{rows:,} rows made in {time.monotonic() - began:.0f} s")
    runs = []
    for round_number in range(bench.rounds):
        for rows in sizes:
            for run in _scale_round(bench, rows):
                run.update(rows_before=rows, round=round_number)
                runs.append(run)
                bench.say(
                    f"round {round_number + 1}, {rows:,} rows, {run['kind']}{', purging' if run['purge'] else ''}: "
                    f"{run['rate']:,.0f} requests/s"
                    + (f", {run['purged']:,} rows purged" if run["purge"] else ""))
    for rows in sizes[1:]:
        bench.database.drop(f"filled_{rows}")
    return {"runs": runs, "fills": fills, "sizes": sizes, "purge_measured": bench.has_purge,
            "kept_days": KEPT_DAYS, "filled_days": FILLED_DAYS, "settings": LARGE}


def _scale_round(bench, rows):
    connections, name, tokens = 64, "scale", bench.path("tokens")
    sampled = 30_000 * bench.seconds
    bench.database.copy(f"filled_{rows}" if rows else "blank", name)
    if rows:
        # Of the rows that a purge leaves alone, and not one after the other.
        kept = rows * KEPT_DAYS // FILLED_DAYS - rows // 100
        query = f"SELECT {rows} - (random() * {kept})::bigint AS number FROM generate_series(1, {sampled})"
        bench.database.write_tokens(tokens, name, query)
    bench.database.load_into_memory(name)
    bench.database.sql("CHECKPOINT", name)
    runs = []
    with Server("service", bench, name) as server:
        def run(kind, request, purge=False, **options):
            since = bench.database.next_second(name) if request == "create" else None
            checkpoints = bench.database.checkpoints()
            purging = Purge(bench, name) if purge else None
            try:
                result = bench.with_cost(server, lambda: bench.wrk(server, request, connections, **options).result())
            finally:
                purged = purging.stop() if purging else 0
            result.update(kind=kind, purge=purge, purged=purged, connections=connections)
            if bench.database.checkpoints() != checkpoints:
                raise Failure(f"{kind} on {rows:,} rows: a checkpoint came in between")
            if since:
                result["rows"] = bench.database.rows(name, since)
                load.check_rows(f"creates on {rows:,} rows", result["rows"], result["succeeded"], connections)
            runs.append(result)

        def send_at_least(wanted, request, **options):
            done = 0
            while done < wanted:
                done += bench.wrk(server, request, connections, 2, **options).result()["succeeded"]

        def look_up(**options):
            if not rows:
                # None cannot be looked up: ten thousand instead.
                bench.database.empty(name)
                bench.database.fill_open(name, 1, 10_000)
                bench.database.write_tokens(
                    tokens, name, f"SELECT 1 + (random() * 9999)::bigint AS number FROM generate_series(1, {sampled})")
            send_at_least(0 if bench.quick else sampled, "get", path=load.GET_PATH, tokens=tokens)
            run("get", "get", path=load.GET_PATH, tokens=tokens, **options)

        def create(kind="create", **options):
            bench.warm_up(server, "create", connections)
            bench.database.rows(name)
            if not rows:
                bench.database.empty(name)
            run(kind, "create", **options)

        look_up()
        run("live", "live", path=load.LIVE_PATH)
        if rows:
            bench.database.sql("CHECKPOINT", name)
            create("create_after_checkpoint")
            pages = bench.database.number("SELECT pg_relation_size('link_sessions_pkey') / 8192", name)
            send_at_least(pages * CREATES_A_PAGE, "create")
        create()
        if bench.has_purge and rows:
            create(purge=True)
            look_up(purge=True)
    bench.database.drop(name)
    return runs


class Purge(threading.Thread):
    """`link-session-service purge`, over and over, as an operator's timer would call it at worst."""

    def __init__(self, bench, database):
        super().__init__()
        self._bench, self._name = bench, database
        self._before = self._old_rows()
        self._ended, self._process, self._failure = threading.Event(), None, None
        self.start()

    def run(self):
        environment = {"LINK_SESSION_ENV": "production", "DATABASE_URL": self._bench.database.url(self._name),
                       "RETENTION_DAYS": str(KEPT_DAYS)}
        with open(self._bench.path("purge.log"), "w") as log:
            while not self._ended.is_set():
                self._process = machine.start([self._bench.executable, "purge"], environment, log)
                while self._process.poll() is None and not self._ended.wait(0.05):
                    pass
                if self._process.poll() is None:
                    machine.stop(self._process, at_once=True)
                elif self._process.returncode:
                    self._failure = self._process.returncode
                    return
                self._ended.wait(0.2)

    def _old_rows(self):
        return self._bench.database.number(
            f"SELECT count(*) FROM link_sessions WHERE created_at < now() - interval '{KEPT_DAYS} days'", self._name)

    def stop(self):
        """Returns how many rows it deleted; having deleted none, while there were some, is a failure."""
        self._ended.set()
        self.join()
        with open(self._bench.path("purge.log")) as log:
            said = log.read().strip()[-400:]
        if self._failure:
            raise Failure(f"the purge failed with exit code {self._failure}: {said}")
        deleted = self._before - self._old_rows()
        if self._before and deleted <= 0:
            raise Failure(f"the purge deleted none of {self._before} rows: {said}")
        return deleted


def table(measured):
    rows = []
    empty = Runs(measured["runs"], kind="create", purge=False, rows_before=0)
    for when, kind, purge in (
            ("", "create", False), (", just after a checkpoint", "create_after_checkpoint", False), (", purging", "create", True)):
        for size in measured["sizes"]:
            create = Runs(measured["runs"], kind=kind, purge=purge, rows_before=size)
            get = Runs(measured["runs"] if kind == "create" else [], kind="get", purge=purge, rows_before=size)
            if not create:
                continue
            live = Runs(measured["runs"], kind="live", purge=False, rows_before=size)
            rows.append([
                f"{size:,}{when}", number(create.median("rate")), number(create.ratio(empty), 2),
                milliseconds(create.median("p50_us")), milliseconds(create.median("p99_us")),
                number(create.median("database_us")), number(create.median("wal_bytes")), number(create.median("wal_image_bytes")),
                number(get.median("rate")), number(get.ratio(create), 2), number(get.ratio(live), 2),
                milliseconds(get.median("p99_us")), number(create.median("purged")) if purge else "–"])
    found = markdown(
        ["rows before", "creates/s", "÷ at 0", "p50 ms", "p99 ms", "PostgreSQL CPU µs", "WAL bytes", "in page images", "GETs/s",
         "÷ creates", "÷ bare GET", "GET p99 ms", "rows purged"], rows)
    sizes = [
        [f"{fill['rows']:,}", *(number(fill[key] / 2**20, 1) for key in ("table", "primary_key", "other_indexes")),
         number(sum(fill[key] for key in ("table", "primary_key", "other_indexes")) / fill["rows"])]
        for fill in measured["fills"]]
    settings = ", ".join(f"`{name} = {value}`" for name, value in measured["settings"].items())
    notes = (f"64 connections; PostgreSQL with {settings}. WAL bytes are those of one create, with those in images of whole pages named apart. The rows lie over the past "
             f"{measured['filled_days']} days, so that a purge that keeps {measured['kept_days']} has work to do; GET on 0 rows is "
             f"GET on 10,000. ")
    notes += "" if measured["purge_measured"] else "This build has no `purge`, so none was measured."
    return (f"{found}\n\n{notes.strip()}\n\n"
            + markdown(["rows", "table MiB", "primary key MiB", "other indexes MiB", "bytes a row"], sizes))


def targets(measured):
    runs, largest = measured["runs"], max(measured["sizes"])

    def of(kind, rows):
        return Runs(runs, kind=kind, purge=False, rows_before=rows)

    yield target(f"creates/s at {largest:,} rows, ÷ at none: at least 0.9",
                 of("create", largest).ratio(of("create", 0)), at_least(0.9))
    yield target(f"GETs/s at {largest:,} rows, ÷ creates: at least 1.2",
                 of("get", largest).ratio(of("create", largest)), at_least(1.2))
    yield target(f"GETs/s at {largest:,} rows, ÷ a bare GET's: at least 0.7",
                 of("get", largest).ratio(of("live", largest)), at_least(0.7))
