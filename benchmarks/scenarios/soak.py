"""Long runs at half load, while the database fails again and again: the service and its peers."""
import re
import signal
import statistics
import threading
import time
import urllib.request

import load
from machine import Failure
from servers import Server
from tables import markdown, mebibytes, number

IN_ROUNDS, WITH_PEERS = None, True

CONNECTIONS = 64

# For each create, of those who can be asked; the others are sent creates alone.
LOOK_UPS = {"service": 3}

# In seconds.
FAULT_EVERY, FROZEN, SAMPLE_EVERY = 40, 5, 10


def measure(bench):
    """One server at a time: its best rate, then half of it, an hour the service and ten minutes each peer."""
    runs = []
    for name in ["service", *(peer for peer in bench.peers if peer != "go-random")]:
        run = _soak(bench, name, bench.seconds * (360 if name == "service" and not bench.quick else 60))
        runs.append(run)
        bench.say(f"{name}: {run['outcomes']}")
        if run["lost"]:
            raise Failure(f"{name}: LOST {run['lost']} sessions that were answered 201")
    return {"runs": runs}


def _soak(bench, name, seconds):
    database, tokens, look_ups = bench.database, bench.path(f"{name}.tokens"), LOOK_UPS.get(name, 0)
    database.copy("blank", "soak")
    with Server(name, bench, "soak") as server:
        rate = _best(bench, server, look_ups, tokens) / 2
        bench.say(f"{name}: {rate:,.0f} requests/s for {seconds / 60:.0f} minutes")
        cpu, samples, steady = server.cpu_seconds(), Samples(server), _load(server, rate, look_ups, tokens)
        intervals = _faults(database, steady, seconds)
        intervals.append({"what": None, **steady.stop()})
        samples.stop()
        cpu = sum(server.cpu_seconds()) - sum(cpu)
        run = {
            "server": name, "seconds": seconds, "rate": rate, "look_ups": look_ups, "cpu": cpu / seconds,
            "outcomes": _sum(interval["outcomes"] for interval in intervals), "intervals": intervals, "samples": samples.taken,
            "rows": database.rows("soak"), "lost": database.missing("soak", tokens)}
    database.drop("soak")
    return run


def _best(bench, server, look_ups, tokens):
    """The requests a second that it answers where nobody waits."""
    steady = _load(server, 0, look_ups, tokens)
    time.sleep(bench.seconds)
    outcomes = steady.stop()["outcomes"]
    if set(outcomes) - {"200", "201"}:
        raise Failure(f"{server.name} at its best: {outcomes}")
    return sum(outcomes.values()) / bench.seconds


def _load(server, rate, look_ups, tokens):
    return load.Steady(server.port, CONNECTIONS, rate, look_ups, tokens)


def _faults(database, steady, seconds):
    """One every so often, each kind in turn. Two intervals for each: until the database is back, and until the next."""
    began, intervals, every = time.monotonic(), [], min(FAULT_EVERY, seconds / len(FAULTS))
    for number_of_fault in range(int(seconds / every)):
        time.sleep(max(0, began + (number_of_fault + 0.5) * every - time.monotonic()))
        what = list(FAULTS)[number_of_fault % len(FAULTS)]
        intervals.append({"what": None, **steady.interval()})
        FAULTS[what](database)
        intervals.append({"what": what, **steady.interval()})
    time.sleep(max(0, began + seconds - time.monotonic()))
    return intervals


def _end_connections(database):
    database.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'soak'", "postgres")


def _kill(database):
    database.kill()
    database.start()


def _freeze(database):
    database.signal(signal.SIGSTOP)
    try:
        time.sleep(FROZEN)
    finally:
        database.signal(signal.SIGCONT)


FAULTS = {"connections ended": _end_connections, "killed": _kill, f"frozen for {FROZEN} s": _freeze}


class Samples(threading.Thread):
    """What a server holds, every so often."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self._server, self._ended = server, threading.Event()
        self.taken = []
        self.start()

    def run(self):
        while not self._ended.wait(SAMPLE_EVERY):
            errors = self._server.take_log().count('"level":"error"')
            self.taken.append({**self._server.held(), "partitions": self._partitions(), "errors": errors})

    def stop(self):
        self._ended.set()
        self.join()

    def _partitions(self):
        """The days ahead that have theirs; None of a peer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._server.management_port}/metrics", timeout=5) as answer:
                found = re.search(r"^link_session_partitions_ahead (\S+)$", answer.read().decode(), re.MULTILINE)
            return float(found.group(1)) if found else None
        except OSError:
            return None


def _sum(outcomes):
    total = {}
    for each in outcomes:
        for outcome, count in each.items():
            total[outcome] = total.get(outcome, 0) + count
    return dict(sorted(total.items()))


def table(measured):
    """What the clients saw, how each kind of fault went, and what the servers held."""
    answers = markdown(
        ["", "minutes", "requests/s", "`201`", "of these lost", "`200`", "`503`", "`500`", "broken", "no answer in 15 s"],
        [[run["server"], number(run["seconds"] / 60), number(sum(run["outcomes"].values()) / run["seconds"]), number(run["outcomes"].get("201", 0)), run["lost"],
          *(number(run["outcomes"].get(outcome, 0)) for outcome in ("200", "503", "500", "broken", "timeout"))]
         for run in measured["runs"]])
    faults = markdown(
        ["fault of the database", "", "times", "longest answer s", "back: first `201` s", "longest", "last failure s", "longest"],
        [[what, run["server"], *_fault(run["intervals"], what)] for what in FAULTS for run in measured["runs"]])
    held = markdown(
        ["first quarter → last", "resident MiB", "threads", "descriptors", "days with partitions ahead"],
        [[run["server"], *_held(run["samples"])] for run in measured["runs"]])
    return f"{answers}\n\n{faults}\n\n{held}"


def _fault(intervals, what):
    """Each fault's interval with the one that follows it, from when the database was back on."""
    found = [(during, after) for during, after in zip(intervals, intervals[1:]) if during["what"] == what]
    longest = max((max(during["longest_ms"], after["longest_ms"]) for during, after in found), default=None)
    cells = [len(found), _seconds(longest)]
    for key, none in (("first_201_ms", FAULT_EVERY * 1000), ("last_failure_ms", 0)):
        times = [none if after[key] is None else after[key] for _, after in found]
        cells += [_seconds(statistics.median(times)), _seconds(max(times))] if times else ["–", "–"]
    return cells


def _seconds(milliseconds):
    return number(None if milliseconds is None else milliseconds / 1000, 2)


def _held(samples):
    quarter = len(samples) // 4
    cells = []
    for key, show in (("VmRSS", lambda kib: mebibytes(kib, 1)), ("Threads", number), ("descriptors", number), ("partitions", number)):
        parts = [[sample[key] for sample in part] for part in (samples[:quarter], samples[-quarter:])]
        if quarter and all(None not in values for values in parts):
            cells.append(" → ".join(f"{show(statistics.mean(values))} ({show(max(values))})" for values in parts))
        else:
            cells.append("–")
    return cells


def targets(measured):
    return []
