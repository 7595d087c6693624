"""Look-ups and completions, beside a bare GET and creates."""
import itertools
import time

import load
import postgres
from machine import Failure
from servers import Server
from tables import Runs, markdown, milliseconds, number

IN_ROUNDS, WITH_PEERS = True, False

NAMES = {
    "live": "`GET /health/live`, the bare GET", "get": "GET by token, by the manufacturer",
    "first_look": "GET by token, by the Authenticator: first looks", "next_look": "GET by token, by the Authenticator: later looks",
    "complete": "complete, each session once", "create": "create"}


def measure(bench):
    """At 64 connections, on one server a round, in turns: look-ups, completions, a bare GET, and creates."""
    connections, runs, event_bytes = 64, [], None
    tokens, rows = bench.path("tokens"), 30_000 * bench.seconds
    for round_number in range(bench.rounds):
        bench.database.copy("blank", "lookups")
        bench.database.fill_open("lookups", rows)
        bench.database.write_tokens(
            tokens, "lookups", f"SELECT number FROM generate_series(0, {rows} - 1) AS number ORDER BY random()")
        with Server("service", bench, "lookups") as server:
            authenticator = {
                "path": load.AUTHENTICATOR_PATH, "tokens": tokens, "key": postgres.AUTHENTICATOR_KEY}
            kinds = {
                "live": {"request": "live", "path": load.LIVE_PATH},
                "get": {"request": "get", "path": load.GET_PATH, "tokens": tokens},
                "first_look": {**authenticator, "request": "get"},
                "next_look": {**authenticator, "request": "get", "tokens": bench.path("seen")},
                "complete": {**authenticator, "request": "complete"},
                "create": {"request": "create"},
            }
            for kind, options in kinds.items():
                request = options.pop("request")
                if kind not in ("first_look", "complete"):  # once a session
                    bench.warm_up(server, request, connections, **options)
                bench.database.sql("CHECKPOINT", "lookups")
                run = bench.with_cost(server, lambda: bench.wrk(server, request, connections, **options).result())
                run.update(kind=kind, connections=connections, round=round_number)
                if kind == "first_look":
                    _copy_lines(tokens, bench.path("seen"), min(run["succeeded"], 50_000))
                    event_bytes = bench.database.event_bytes("lookups")
                if kind == "complete":
                    _check_completed(bench, run, connections)
                runs.append(run)
                bench.say(f"round {round_number + 1}, {kind}: {run['rate']:,.0f} requests/s")
        bench.database.drop("lookups")
    return {"runs": runs, "event_bytes": event_bytes}


def _copy_lines(source, target, count):
    with open(source) as lines, open(target, "w") as copy:
        copy.writelines(itertools.islice(lines, count))


def _check_completed(bench, run, connections):
    time.sleep(0.2)
    done = bench.database.number("SELECT count(*) FROM link_sessions WHERE completed_at IS NOT NULL", "lookups")
    run["rows"] = done
    if not run["succeeded"] <= done <= run["succeeded"] + connections:
        raise Failure(f"complete: {run['succeeded']} answers 200, {done} sessions completed")


def table(measured):
    live, create = (Runs(measured["runs"], kind=kind) for kind in ("live", "create"))
    rows = []
    for kind, name in NAMES.items():
        runs = Runs(measured["runs"], kind=kind)
        if not runs:
            continue
        rows.append([
            name, number(runs.median("rate")), number(runs.ratio(create), 2), number(runs.ratio(live), 2),
            milliseconds(runs.median("p50_us")), milliseconds(runs.median("p99_us")), number(runs.server_us),
            number(runs.median("database_us")), number(runs.median("wal_bytes"))])
    found = markdown(
        ["64 connections", "requests/s", "÷ creates", "÷ bare GET", "p50 ms", "p99 ms", "CPU µs", "PostgreSQL CPU µs",
         "WAL bytes"], rows)
    if measured.get("event_bytes"):
        found += (f"\n\nThe Authenticator's first look at a session is recorded as an event, which takes "
                  f"{number(measured['event_bytes'])} bytes on disk.")
    return found


def targets(measured):
    return []
