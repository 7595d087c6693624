"""Overload: more callers than are best, and more than the service lets in."""
import resource
import socket
import statistics
import time

import load
import machine
from machine import Failure
from probe import Probe
from servers import Server
from tables import at_least, markdown, mebibytes, number, target

IN_ROUNDS, WITH_PEERS = True, False

# How many connections the service holds.
BOUND = 10_000


def measure(bench):
    """The best number of connections, then two and ten times as many, then more than each of the service's bounds."""
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if descriptors < BOUND + 1_000:
        raise Failure(f"overload needs {BOUND + 1_000} open files a process, and {descriptors} are allowed (ulimit -n)")
    bench.database.copy("blank", "overload")
    levels, best = [], 64
    if not bench.quick:
        levels = _rounds(bench, [(connections, 0, None) for connections in (64, 128, 256, 512)])
        best = max(levels, key=lambda level: level["rate"])["connections"]
    # The best again, in turns with what is beyond it.
    beyond = [(best, 0, "the best"), (best * 2, 0, "2 times the best"), (best * 10, 0, "10 times the best"),
              (6_000, 0, "more than 4,096 requests waiting")]
    if not bench.quick:
        # Idle connections leave room for as many as are best, and twice as many call.
        beyond.append((best * 2, BOUND - best, f"with idle ones, more than {BOUND:,} connections"))
    levels = [level for level in levels if level["connections"] != best] + _rounds(bench, beyond)
    bench.database.drop("overload")
    return {"levels": levels, "best": best}


def _rounds(bench, floods):
    """Of each flood the run whose rate is the median over the rounds, in which the floods take turns."""
    rounds = [[_flood(bench, connections, idle) for connections, idle, _ in floods] for _ in range(bench.rounds)]
    levels = []
    for (_, _, reason), runs in zip(floods, zip(*rounds)):
        level = sorted(runs, key=lambda run: run["rate"])[len(runs) // 2]
        if reason:
            level["reason"] = reason
            level["against_best"] = statistics.median(run["rate"] / best["rate"] for run, (best, *_) in zip(runs, rounds))
        levels.append(level)
    return levels


def _flood(bench, connections, idle=0):
    """Measures from when no more connections come in; wrk calls on each from the first moment on."""
    longest, seconds = (3 if bench.quick else 40), bench.seconds
    wrks = max(1, round(connections / 3_000))
    each = [connections // wrks] * (wrks - 1)
    with Server("service", bench, "overload") as server:
        bench.warm_up(server, "create", 16)
        bench.database.rows("overload")
        bench.database.empty("overload")
        held_open = _connect(server, idle)
        probe = Probe(server.port)
        flood = [bench.wrk(server, "create", count, longest + seconds + 60, per_second=True)
                 for count in [*each, connections - sum(each)]]
        probe.start()
        began = time.time()
        try:
            _wait_for_connections(server, idle + connections, longest)
            since = int(time.time()) + 2
            cpu = server.cpu_seconds()
            time.sleep(since + seconds / 2 - time.time())
            held = server.held()
            time.sleep(since + seconds + 1.2 - time.time())
            cpu = sum(server.cpu_seconds()) - sum(cpu)
        finally:
            for wrk in flood:
                wrk.hang_up()
            probe.stop()
            for connection in held_open:
                connection.close()
        results = [wrk.result(strict=False) for wrk in flood]
        rows = bench.database.rows("overload")
        peak = server.peak_kib()
        serving = load.ask(server.port, load.CREATE) == 201
    what = f"{connections:,} connections" + (f" beside {idle:,} idle ones" if idle else "")
    if not serving:
        raise Failure(f"{what}: no 201 after the flood")
    for result in results:
        if result["other"]:
            raise Failure(f"{what}: {result['other']} answers are neither 201 nor 503, but such as {result['other_status']}")
    outcomes = [outcome for _, outcome, _ in probe.kept + probe.fresh]
    broken = {key: sum(result[key] for result in results)
              for key in ("connect_errors", "read_errors", "write_errors", "timeouts")}
    load.check_rows(
        what, rows, sum(result["succeeded"] for result in results) + outcomes.count(201),
        connections + sum(broken.values()) + sum(outcome not in (201, 503) for outcome in outcomes))
    # Whole seconds in the middle: connecting is over, and nobody has hung up yet.
    def per_second(column):
        return sum(line[column] for result in results for line in result["seconds"] if since <= line[0] < since + seconds) / seconds

    level = {
        "connections": connections, "idle": idle, "wrks": wrks, "rate": per_second(1), "refused_rate": per_second(2), "broken": broken,
        "connecting_s": since - began, "held": held, "peak_kib": peak, "rows": rows, "server_cpu_seconds": cpu,
        "wrk_p50_us": max(result["p50_us"] for result in results), "wrk_p99_us": max(result["p99_us"] for result in results),
        "probe": probe.summary(since, since + seconds)}
    bench.say(f"{what} ({held['descriptors']:,} descriptors): {level['rate']:,.0f} creates/s, "
              f"{level['refused_rate']:,.0f} refused/s, peak {peak / 1024:,.1f} MiB; {_first(level['probe'])}")
    return level


def _connect(server, count):
    """Connections that say nothing. The service ends them after 75 s."""
    connections = [socket.create_connection(("127.0.0.1", server.port), 10) for _ in range(count)]
    machine.wait_until(lambda: machine.descriptors(server.pid) >= count, 30, server.process, f"{count:,} connections")
    return connections


def _wait_for_connections(server, connections, longest):
    """Until all are there that the service lets in, or it took the longest that it may."""
    deadline = time.time() + longest
    while time.time() < deadline:
        time.sleep(1)
        now = machine.descriptors(server.pid)
        if now >= min(connections, BOUND):
            return


def _first(probe):
    return "; ".join(
        f"{name} " + ", ".join(f"{outcome} ×{facts['count']} p99 {facts['p99_ms']:,.0f} ms" for outcome, facts in outcomes.items())
        for name, outcomes in probe.items())


def _outcomes(probe, kind, statuses):
    """(p50, p99, count) of a probe's outcomes, weighted to the slowest where there are several."""
    found = [facts for outcome, facts in probe[kind].items() if outcome in statuses]
    if not found:
        return None, None, 0
    return (max(facts["p50_ms"] for facts in found), max(facts["p99_ms"] for facts in found),
            sum(facts["count"] for facts in found))


def table(measured):
    rows = []
    for level in measured["levels"]:
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
    return markdown(
        ["connections", "which is", "descriptors", "creates/s", "÷ best", "503s/s", "201 p50 ms", "201 p99 ms",
         "new connection, 201 p99 ms", "503 p99 ms", "peak MiB"], rows) + (
        "\n\nThe latencies are those of a few callers beside the flood, on connections made before it, and on a new one for each "
        "create.")


def targets(measured):
    for level in measured["levels"]:
        if level.get("reason") in ("2 times the best", "10 times the best"):
            yield target(f"creates/s at {level['connections']:,} connections, {level['reason']}, ÷ the best rate: at least 0.9",
                         level["against_best"], at_least(0.9))
