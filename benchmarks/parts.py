"""What is measured. Every function returns the raw figures of its runs; benchmarks/report.py sums them up."""
import itertools
import json
import os
import re
import resource
import socket
import statistics
import threading
import time

import load
import machine
import postgres
from load import Wrk
from machine import Failure
from servers import Server

CONNECTIONS = (16, 64, 256)

# What the purge keeps, and over how many days the rows lie that it meets.
KEPT_DAYS, FILLED_DAYS = 30, 40

# What docs/scaling.md advises for such tables: none of it touches durability.
LARGE = {"shared_buffers": "4GB", "max_wal_size": "8GB", "checkpoint_timeout": "30min"}

# A create writes to another page of the key each; with so many a page nearly all have been written to.
CREATES_A_PAGE = 4

# How many connections the service holds.
BOUND = 10_000


class Bench:
    """What all parts share: where things are, how long and how often."""

    def __init__(self, executable, database, peers, scratch, has_purge, quick, seconds, rounds):
        self.executable, self.database, self.peers, self.scratch = executable, database, peers, scratch
        self.has_purge, self.quick, self.seconds, self.rounds = has_purge, quick, seconds, rounds

    def say(self, text):
        print(f"  {text}", flush=True)

    def path(self, name):
        return os.path.join(self.scratch, name)

    def warm_up(self, server, request, connections, **options):
        """A second of the same, or what a quick run has time for."""
        if not self.quick:
            self.wrk(server, request, connections, 1, **options).result()

    def wrk(self, server, request, connections, seconds=None, **options):
        return Wrk(self.scratch, server.port, request, connections, seconds or self.seconds, **options)


def measure(bench, server, run):
    """The result of `run`, with what it cost the server and PostgreSQL."""
    database = bench.database
    before = (*server.cpu_seconds(), database.cpu_seconds(), database.wal())
    result = run()
    after = (*server.cpu_seconds(), database.cpu_seconds(), database.wal())
    done = result["succeeded"]
    user, system, cpu, wal = (b - a for a, b in zip(before, after))
    images = database.wal_images(before[-1], after[-1]) if wal else 0
    result.update(
        server_user_us=user * 1e6 / done, server_system_us=system * 1e6 / done, database_us=cpu * 1e6 / done,
        wal_bytes=wal / done, wal_image_bytes=None if images is None else images / done)
    result.pop("seconds", None)
    return result


# --- Creates, in turns with the peers.

def creates(bench):
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


def _create(bench, name, connections):
    with Server(name, bench, "creates") as server:
        _warm_up(bench, server, name, connections)
        bench.database.empty("creates")
        run = measure(bench, server, lambda: bench.wrk(server, "create", connections).result())
        run["rows"] = bench.database.rows("creates")
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
    bench.database.rows("creates")
    if not tokens:
        raise Failure(f"{name}: no caller was given a token during the warm-up")
    if missing := bench.database.missing("creates", tokens):
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


# --- Look-ups and completions.

def lookups(bench):
    """At 64 connections, on one server a round, in turns: look-ups, completions, a bare GET, and creates."""
    connections, runs, event_bytes = 64, [], None
    tokens, rows = bench.path("tokens"), 30_000 * bench.seconds
    for round_number in range(bench.rounds):
        bench.database.copy("blank", "lookups")
        bench.database.fill_open("lookups", 1, rows)
        bench.database.write_tokens(
            tokens, "lookups", f"SELECT number FROM generate_series(1, {rows}) AS number ORDER BY random()")
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
                run = measure(bench, server, lambda: bench.wrk(server, request, connections, **options).result())
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


# --- Scale.

def scale(bench):
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
                result = measure(bench, server, lambda: bench.wrk(server, request, connections, **options).result())
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


# --- Start and idle.

def idle(bench):
    """Time to ready, and what the process holds at rest, under load, and after many creates."""
    connections, starts = 64, 1 if bench.quick else 5
    wanted = 30_000 if bench.quick else 1_000_000
    bench.database.copy("blank", "idle")
    result = {"starts": [], "peers": []}
    for _ in range(starts):
        server = Server("service", bench, "idle")
        try:
            ready = server.wait_until_ready()
        finally:
            server.__exit__()
        result["starts"].append({"ready_s": ready})
    for name in ["service", *bench.peers]:
        firsts, rest = [], None
        for _ in range(starts):
            server = Server(name, bench, "idle")
            try:
                firsts.append(server.wait_until_serving())
                time.sleep(1)
                rest = _held(server)
            finally:
                server.__exit__()
        result["peers"].append({"server": name, "first_201_s": firsts, "at_rest": rest})
        bench.say(f"{name}: {statistics.median(firsts) * 1000:,.0f} ms to its first 201, {rest['VmRSS'] / 1024:,.1f} MiB at rest")

    bench.database.empty("idle")
    with Server("service", bench, "idle") as server:
        created, runs, held = 0, 0, {"at rest": _held(server)}
        while created < wanted:
            run = bench.wrk(server, "create", connections, 2 if bench.quick else 5)
            time.sleep(1)
            held["under load"] = _held(server)
            created += run.result()["succeeded"]
            runs += 1
        time.sleep(1 if bench.quick else 5)
        held["after"] = _held(server)
        rows = bench.database.rows("idle")
        held["peak_kib"] = server.peak_kib()
    # One was created to see that the service is there.
    load.check_rows("many creates", rows, created + 1, connections * runs)
    result.update(created=created, held=held, rows=rows, connections=connections)
    bench.say(f"after {created:,} creates: {held['after']['VmRSS'] / 1024:,.1f} MiB, peak {held['peak_kib'] / 1024:,.1f} MiB")
    bench.database.drop("idle")
    return result


def _held(server):
    return {**machine.status(server.pid, "VmRSS", "Threads"), "descriptors": machine.descriptors(server.pid)}


# --- Overload.

def overload(bench):
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
        probe = load.Probe(server.port)
        flood = [bench.wrk(server, "create", count, longest + seconds + 60, per_second=True)
                 for count in [*each, connections - sum(each)]]
        probe.start()
        began = time.time()
        try:
            _wait_for_connections(server, idle + connections, longest)
            since = int(time.time()) + 2
            cpu = server.cpu_seconds()
            time.sleep(since + seconds / 2 - time.time())
            held = _held(server)
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


# --- The pages.

def pages(bench):
    """A session's page at 50 requests a second from a warm service, and what the browser gets with it."""
    pace, seconds = 50, 5 if bench.quick else 20
    bench.database.copy("blank", "pages")
    with Server("service", bench, "pages") as server:
        url = json.loads(load.get_body(server.port, load.CREATE))["link_url"]
        page = load.request("GET", url[url.index("/ui"):])
        body = load.get_body(server.port, page)
        files = [load.get_body(server.port, load.request("GET", path)) for path in re.findall(r'(?:href|src)="(/ui/[^"?]+)', body.decode())]
        load.pace(server.port, page, pace, pace)
        milliseconds = load.pace(server.port, page, pace, pace * seconds)
    bench.database.drop("pages")
    ordered = sorted(milliseconds)
    result = {
        "pace": pace, "requests": len(ordered), "p50_ms": load.quantile(ordered, 0.5), "p99_ms": load.quantile(ordered, 0.99),
        "max_ms": ordered[-1], "page_bytes": len(body), "files_bytes": sum(map(len, {bytes(file) for file in files}))}
    bench.say(f"pages: p99 {result['p99_ms']:.1f} ms")
    return result


PARTS = {"creates": creates, "lookups": lookups, "scale": scale, "idle": idle, "overload": overload, "pages": pages}
