"""Retention: a whole day goes beside creates."""
import subprocess
import threading
import time

from machine import Failure
from servers import Server
from tables import Runs, at_least, below, markdown, milliseconds, number, target

IN_ROUNDS, WITH_PEERS = True, False


def measure(bench):
    """Creates at 64 connections alone, and beside the purge of one day, in turns."""
    connections, name, rows = 64, "retention", 100_000 if bench.quick else 1_000_000
    bench.database.copy("blank", name)
    for round_number in range(bench.rounds):
        bench.database.fill_day(name, rows, _days_ago(bench, round_number))
    runs = []
    with Server("service", bench, name) as server:
        bench.warm_up(server, "create", connections)
        for round_number in range(bench.rounds):
            for purges in False, True:
                bench.database.sql("CHECKPOINT", name)
                purge = Purge(bench, name, _days_ago(bench, round_number) - 1, bench.seconds / 3) if purges else None
                run = bench.wrk(server, "create", connections).result()
                run.pop("seconds")
                run.update(purges=purges, round=round_number, rows_before=rows, purge_s=purge.result() if purges else None)
                runs.append(run)
                bench.say(
                    f"round {round_number + 1}{', purging a day' if purges else ''}: {run['rate']:,.0f} creates/s, the slowest "
                    f"in {run['max_us'] / 1000:,.0f} ms" + (f", the purge took {run['purge_s']:.2f} s" if purges else ""))
    left = bench.database.number(
        "SELECT count(*) FROM link_sessions WHERE id < first_id_at(statement_timestamp() - interval '2 days')", name)
    if left:
        raise Failure(f"retention: {left} rows are left of {rows * bench.rounds}")
    bench.database.drop(name)
    return {"runs": runs, "rows": rows}


def _days_ago(bench, round_number):
    """The oldest day goes first."""
    return 40 + bench.rounds - round_number


class Purge(threading.Thread):
    """`link-session-service purge`, some time after the start."""

    def __init__(self, bench, database, kept_days, wait):
        super().__init__()
        self._command = [bench.executable, "purge"]
        self._environment = {
            "LINK_SESSION_ENV": "production", "DATABASE_URL": bench.database.url(database), "RETENTION_DAYS": str(kept_days)}
        self._wait, self._done, self._took = wait, None, None
        self.start()

    def run(self):
        time.sleep(self._wait)
        began = time.monotonic()
        self._done = subprocess.run(self._command, env=self._environment, capture_output=True, text=True)
        self._took = time.monotonic() - began

    def result(self):
        """The seconds that it took."""
        self.join()
        if self._done.returncode:
            raise Failure(f"the purge failed with exit code {self._done.returncode}: {(self._done.stdout + self._done.stderr).strip()[-400:]}")
        return self._took


def table(measured):
    alone = Runs(measured["runs"], purges=False)
    rows = []
    for what, purges in (("alone", False), (f"beside the purge of a day of {measured['rows']:,} sessions", True)):
        runs = Runs(measured["runs"], purges=purges)
        rows.append([
            what, number(runs.median("rate")), number(runs.ratio(alone), 2), milliseconds(runs.median("p99_us")),
            milliseconds(max(run["max_us"] for run in runs.runs)), number(runs.median("purge_s"), 2)])
    return markdown(["creates at 64 connections", "creates/s", "÷ alone", "p99 ms", "slowest ms", "purge s"], rows)


def targets(measured):
    purging = Runs(measured["runs"], purges=True)
    yield target("creates/s beside the purge of a day, ÷ alone: at least 0.97",
                 purging.ratio(Runs(measured["runs"], purges=False)), at_least(0.97))
    yield target("the slowest create beside it: below 250 ms", max(run["max_us"] for run in purging.runs) / 1000, below(250), 0, " ms")
    yield target("the purge of a day: below 1 s", max(run["purge_s"] for run in purging.runs), below(1), 2, " s")
