#!/usr/bin/env python3
"""Measures one scenario after the other, keeps the raw figures, and has the report written. scripts/bench starts it."""
import argparse
import datetime
import json
import os
import re
import signal
import subprocess
import sys
import time

import machine
import report
from bench import Bench
from postgres import Postgres
from scenarios import SCENARIOS, USUAL


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--render", metavar="FILE", help="measure nothing: write the documents from raw figures")
    options.add_argument("--executable")
    options.add_argument("--sockets")
    options.add_argument("--data")
    options.add_argument("--postgres-bin")
    options.add_argument("--peers", default="")
    options.add_argument("--scratch")
    options.add_argument("--settings", default="")
    options.add_argument("--quick", action="store_true")
    options.add_argument("--no-docs", action="store_true")
    options.add_argument("--only", default=",".join(USUAL))
    options.add_argument("--seconds", type=int)
    options.add_argument("--rounds", type=int)
    options = options.parse_args()
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

    if options.render:
        with open(options.render) as file:
            report.write_documents(json.load(file))
        return

    # Everything that was started ends with its `with` block.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    only = options.only.split(",")
    began = time.monotonic()
    database = Postgres(options.sockets, options.data, options.postgres_bin, options.executable)
    database.make_blank()
    bench = Bench(
        options.executable, database, [name for name in options.peers.split(",") if name], options.scratch,
        options.quick, options.seconds or (1 if options.quick else 10), options.rounds or (1 if options.quick else 3))
    figures = {
        "date": datetime.date.today().isoformat(), "quick": options.quick, "seconds": bench.seconds, "rounds": bench.rounds,
        "machine": {**machine.describe(), "postgresql": database.version}, "settings": options.settings.split(),
        "versions": versions(bench), "scenarios": {}}
    file = next_file()
    for name, scenario in SCENARIOS.items():
        if name in only:
            print(f"{name}:", flush=True)
            scenario_began = time.monotonic()
            measured = scenario.measure(bench)
            figures["scenarios"][name] = {**measured, "took_s": time.monotonic() - scenario_began}
            with open(file, "w") as output:
                json.dump(figures, output, indent=1)
    print()
    print(report.text(figures))
    print(f"raw figures: {file}; all of it took {time.monotonic() - began:.0f} s")
    if not options.quick and not options.no_docs:
        print("written:", ", ".join(report.write_documents(figures)))


def next_file():
    directory = ".local/bench"
    number = 1
    while os.path.exists(path := f"{directory}/{datetime.date.today().isoformat()}-{number}.json"):
        number += 1
    return path


def versions(bench):
    """Of the peers, and of what sends the load."""
    def first(*command):
        try:
            said = subprocess.run(command, capture_output=True, text=True)
        except FileNotFoundError:
            return "?"
        return (said.stdout or said.stderr).splitlines()[0].strip()

    found = {"wrk": re.search(r"\d+(\.\d+)+", first("wrk", "--version")).group(0),
             "go": first("go", "version").split()[2].removeprefix("go")}
    if "fastapi" in bench.peers:
        found["python"] = first(".local/bench/venv/bin/python", "--version").split()[1]
        for package in ("fastapi", "uvicorn", "asyncpg"):
            found[package] = first(
                ".local/bench/venv/bin/python", "-c", f"import importlib.metadata as m; print(m.version('{package}'))")
    return found


if __name__ == "__main__":
    try:
        main()
    except machine.Failure as failure:
        sys.exit(f"scripts/bench: FAILED: {failure}")
