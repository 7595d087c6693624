"""Creates and look-ups on tables of up to fifty million rows, with PostgreSQL's default settings."""
import time

import load
from machine import Failure
from servers import Server
from tables import Runs, at_least, below, markdown, milliseconds, number, target

IN_ROUNDS, WITH_PEERS = True, False

# The rows of each table lie over so many days, with a partition each: retention's 30 would be fewer.
FILLED_DAYS = 38

# While rows are made: with the defaults it would be checkpoint after checkpoint.
FILLING = {"shared_buffers": "2GB", "max_wal_size": "4GB", "checkpoint_timeout": "30min"}

# After a checkpoint a page goes into the log whole when it is first written to; after so many creates for each page of
# today's indexes nearly all have been.
CREATES_A_PAGE = 4

# (kind, the part of the rows that it asks for, the newest ones)
LOOK_UPS = (("get", 1), ("get_newest", 1 / FILLED_DAYS / 10))


def measure(bench):
    """Creates and look-ups on a table of none to fifty million rows, in turns; each size has one table for all rounds."""
    sizes = (0, 20_000, 200_000) if bench.quick else (0, 1_000_000, 10_000_000, 50_000_000)
    fills = []
    with bench.database.having(FILLING):
        for rows in sizes:
            began = time.monotonic()
            bench.database.copy("blank", f"scale_{rows}")
            if rows:
                bench.database.fill_past(f"scale_{rows}", rows, FILLED_DAYS)
                fills.append({"rows": rows, "seconds": time.monotonic() - began, **bench.database.sizes(f"scale_{rows}")})
                bench.say(f"{rows:,} rows made in {time.monotonic() - began:.0f} s")
    runs = []
    for round_number in range(bench.rounds):
        for rows in sizes:
            for run in _scale_round(bench, f"scale_{rows}", rows):
                run.update(rows_before=rows, round=round_number)
                runs.append(run)
                bench.say(
                    f"round {round_number + 1}, {rows:,} rows, {run['kind']}: {run['rate']:,.0f} requests/s, "
                    f"{run['wal_bytes']:,.0f} bytes of log each")
    for rows in sizes:
        bench.database.drop(f"scale_{rows}")
    return {"runs": runs, "fills": fills, "sizes": sizes, "filled_days": FILLED_DAYS}


def _scale_round(bench, name, rows):
    connections, sampled = 64, 30_000 * bench.seconds
    runs = []
    with Server("service", bench, name) as server:
        def run(kind, request, **options):
            since = bench.database.next_second(name) if request == "create" else None
            checkpoints = bench.database.checkpoints()
            result = bench.with_cost(server, lambda: bench.wrk(server, request, connections, **options).result())
            result.update(kind=kind, connections=connections)
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

        def create(kind):
            """On as many rows as there should be: what was created before is gone."""
            bench.warm_up(server, "create", connections)
            if rows:
                bench.database.renew_today(name)
                bench.database.sql("CHECKPOINT", name)
                if kind == "create":
                    send_at_least(bench.database.newest_index_pages(name) * CREATES_A_PAGE, "create")
            else:
                bench.database.rows(name)
                bench.database.empty(name)
            run(kind, "create")

        if not rows:
            # None cannot be looked up: ten thousand instead.
            bench.database.empty(name)
            bench.database.fill_open(name, 10_000)
        bench.database.sql("CHECKPOINT", name)
        for kind, part in LOOK_UPS:
            last = (rows or 10_000) - 1
            bench.database.write_tokens(
                bench.path("tokens"), name,
                f"SELECT {last} - floor(random() * {last * part})::bigint AS number FROM generate_series(1, {sampled})")
            look_up = {"path": load.GET_PATH, "tokens": bench.path("tokens")}
            send_at_least(0 if bench.quick else sampled, "get", **look_up)
            run(kind, "get", **look_up)
        run("live", "live", path=load.LIVE_PATH)
        create("create_after_checkpoint")
        if rows:
            create("create")
    return runs


def table(measured):
    rows = []
    for when, kind in ((", just after a checkpoint", "create_after_checkpoint"), (", later", "create")):
        for size in measured["sizes"]:
            create = Runs(measured["runs"], kind=kind, rows_before=size)
            if not create:
                continue
            rows.append([
                f"{size:,}{when}", number(create.median("rate")), number(create.ratio(_at_none(measured)), 2),
                milliseconds(create.median("p50_us")), milliseconds(create.median("p99_us")),
                number(create.median("database_us")), number(create.median("wal_bytes")), number(create.median("wal_image_bytes"))])
    creates = markdown(
        ["rows before", "creates/s", "÷ at 0", "p50 ms", "p99 ms", "PostgreSQL CPU µs", "WAL bytes", "in page images"], rows)
    rows = []
    for what, kind in (("any of them", "get"), ("of the newest", "get_newest")):
        for size in measured["sizes"]:
            get, create, live = (
                Runs(measured["runs"], kind=each, rows_before=size) for each in (kind, "create_after_checkpoint", "live"))
            rows.append([
                f"{size:,}, {what}", number(get.median("rate")), number(get.ratio(create), 2), number(get.ratio(live), 2),
                milliseconds(get.median("p50_us")), milliseconds(get.median("p99_us")), number(get.median("database_us"))])
    look_ups = markdown(
        ["rows, and looked up", "GETs/s", "÷ creates", "÷ bare GET", "p50 ms", "p99 ms", "PostgreSQL CPU µs"], rows)
    sizes = markdown(
        ["rows", "made in s", "table MiB", "primary key MiB", "other indexes MiB", "bytes a row"],
        [[f"{fill['rows']:,}", number(fill["seconds"]),
          *(number(fill[key] / 2**20, 1) for key in ("table", "primary_key", "other_indexes")),
          number(sum(fill[key] for key in ("table", "primary_key", "other_indexes")) / fill["rows"])]
         for fill in measured["fills"]])
    notes = (f"64 connections; PostgreSQL's default settings. WAL bytes are those of one create, with those in images of whole pages named "
             f"apart. The rows lie over {measured['filled_days']} days with a partition each, and every create is another user's. "
             f"GET on 0 rows is GET on 10,000; the newest are those of a tenth of a day.")
    return f"{creates}\n\n{look_ups}\n\n{notes}\n\n{sizes}"


def _at_none(measured):
    return Runs(measured["runs"], kind="create_after_checkpoint", rows_before=0)


def targets(measured):
    def of(kind, rows):
        return Runs(measured["runs"], kind=kind, rows_before=rows)

    for rows, wanted in ((10_000_000, 0.97), (50_000_000, 0.95)):
        create = of("create_after_checkpoint", rows)
        if not create:
            continue
        yield target(f"creates/s at {rows:,} rows just after a checkpoint, ÷ at none: at least {wanted}",
                     create.ratio(_at_none(measured)), at_least(wanted))
        yield target(f"WAL bytes of such a create at {rows:,} rows: at most 450", create.median("wal_bytes"), below(450.5), 0)
        if rows == 10_000_000:
            yield target(f"GETs/s at {rows:,} rows, ÷ creates: at least 1.3", of("get", rows).ratio(create), at_least(1.3))
