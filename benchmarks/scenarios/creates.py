"""Creates, by the service in turns with its peers."""
import time

import load
from machine import Failure
from servers import Server
from tables import Runs, at_least, below, markdown, mebibytes, milliseconds, number, target

IN_ROUNDS, WITH_PEERS = True, True

CONNECTIONS = (16, 64, 256)


def measure(bench):
    """One server at a time, started for its run and warmed up; the table is empty and a checkpoint just done."""
    names = ["service", *bench.peers, "pgbench"]
    bench.database.copy("blank", "creates")
    runs = []
    for round_number in range(bench.rounds):
        for connections in CONNECTIONS:
            for name in names:
                run = _pgbench(bench, connections) if name == "pgbench" else _create(bench, name, connections)
                run.update(server=name, connections=connections, round=round_number)
                runs.append(run)
                bench.say(f"round {round_number + 1}, {connections} connections, {name}: {run['rate']:,.0f} creates/s")
    bench.database.drop("creates")
    return {"runs": runs, "servers": names}


def _table(name):
    return "bench.random_sessions" if name == "go-random" else "link_sessions"


def _create(bench, name, connections):
    with Server(name, bench, "creates") as server:
        _warm_up(bench, server, name, connections)
        bench.database.empty("creates")
        run = bench.with_cost(server, lambda: bench.wrk(server, "create", connections).result())
        run["rows"] = bench.database.rows("creates", table=_table(name))
        run["peak_kib"] = server.peak_kib()
    load.check_rows(f"{name} at {connections} connections", run["rows"], run["succeeded"], connections)
    return run


def _warm_up(bench, server, name, connections):
    """A second of creates, of which a few callers keep every token that they were given: all must be there."""
    callers = load.Callers(server.port)
    callers.start()
    try:
        bench.warm_up(server, "create", connections)
        time.sleep(0.2)
    finally:
        tokens = callers.stop()
    bench.database.rows("creates", table=_table(name))
    if not tokens:
        raise Failure(f"{name}: no caller was given a token during the warm-up")
    with open(bench.path("given"), "w") as file:
        file.writelines(f"{token}\n" for token in tokens)
    if missing := bench.database.missing("creates", bench.path("given"), _table(name)):
        raise Failure(f"{name}: LOST {missing} of {len(tokens)} sessions whose token a caller was given")


def _pgbench(bench, connections):
    bench.database.empty("creates")
    cpu, wal = bench.database.cpu_seconds(), bench.database.wal()
    # Connecting, a process each, is a part of its time.
    seconds = max(bench.seconds, 4 if connections > 100 else 2)
    run = load.pgbench(bench.database, "creates", bench.scratch, connections, seconds)
    done, wal_after = run["succeeded"], bench.database.wal()
    images = bench.database.wal_images(wal, wal_after)
    run.update(
        server_user_us=None, server_system_us=None, database_us=(bench.database.cpu_seconds() - cpu) * 1e6 / done,
        wal_bytes=(wal_after - wal) / done, wal_image_bytes=None if images is None else images / done, peak_kib=None,
        rows=bench.database.rows("creates"))
    load.check_rows("pgbench", run["rows"], done, 0)
    return run


def table(measured):
    found = []
    for connections in sorted({run["connections"] for run in measured["runs"]}):
        service = Runs(measured["runs"], server="service", connections=connections)
        rows = []
        for name in measured["servers"]:
            runs = Runs(measured["runs"], server=name, connections=connections)
            rows.append([
                f"**{name}**" if name == "service" else name, number(runs.median("rate")),
                number(service.ratio(runs), 2), milliseconds(runs.median("p50_us")), milliseconds(runs.median("p99_us")),
                number(runs.server_us), number(runs.median("database_us")), mebibytes(runs.peak_kib),
                number(runs.median("wal_bytes"))])
        found.append(f"{connections} connections:\n\n" + markdown(
            ["", "creates/s", "service ÷ it", "p50 ms", "p99 ms", "CPU µs", "PostgreSQL CPU µs", "peak MiB", "WAL bytes"], rows))
    return "\n\n".join(found)


def panels(measured):
    """What the chart draws: (connections, [(name, creates a second, the service's ratio to it, p99 in µs)])."""
    found = []
    for connections in sorted({run["connections"] for run in measured["runs"]}):
        servers = {name: Runs(measured["runs"], server=name, connections=connections) for name in measured["servers"]}
        found.append((connections, [
            (name, runs.median("rate"), servers["service"].ratio(runs), runs.median("p99_us"))
            for name, runs in servers.items()]))
    return found


def targets(measured):
    runs, names = measured["runs"], measured["servers"]

    def at(name, connections):
        return Runs(runs, server=name, connections=connections)

    for name, wanted in (("go-batch", 1.0), ("go-batch", 1.1), ("go", 2.5), ("fastapi", 7.0), ("pgbench", 1.4)):
        if name in names:
            aim = " (the aim)" if wanted == 1.1 else ""
            yield target(f"creates/s at 64 connections, ÷ {name}: at least {wanted}{aim}",
                         at("service", 64).ratio(at(name, 64)), at_least(wanted))
    others = [at(name, 64).median("p99_us") for name in names if name != "service"]
    yield target("p99 at 64 connections, ÷ the best of the others: below 1",
                 at("service", 64).median("p99_us") / min(others), below(1))
    if "go-batch" in names:
        yield target("p50 at 16 connections, ÷ go-batch's: below 1.3",
                     at("service", 16).ratio(at("go-batch", 16), "p50_us"), below(1.3))
    yield target("peak memory: below 64 MiB", Runs(runs, server="service").peak_kib / 1024, below(64), 1, " MiB")
