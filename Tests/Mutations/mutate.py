"""Builds all mutants into one program, and runs each against the tests that should notice it. See scripts/mutate."""
import argparse
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import runs
from places import chosen

# A module's own mutants, in a file beside its others. Each session of processes has a file that they all share: its first
# byte says which mutant is awake, and each mutant that is reached marks a byte of its own.
ASLEEP = """
internal import Glibc

private nonisolated(unsafe) let shared: UnsafeMutablePointer<UInt8>? = {{
    let file = open("{directory}/\\(getsid(0))", O_RDWR)
    guard file >= 0 else {{ return nil }}
    defer {{ close(file) }}
    let memory = mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
    return memory == MAP_FAILED ? nil : memory?.assumingMemoryBound(to: UInt8.self)
}}()

func isMutant(_ number: Int) -> Bool {{
    guard let shared else {{ return false }}
    shared[number] = 1
    return shared[0] == UInt8(number)
}}
"""
# Migrations are read by one function alone.
READS_MIGRATIONS = Path("Sources/PostgresClient/Migrations/Migration.swift")
WITH_FAULTS = """
func withFaults(_ sql: String, _ file: String) -> String {{
    var bytes = Array(sql.utf8)
{faults}
    return String(decoding: bytes, as: UTF8.self)
}}
"""
FAULT = """
    if file == "{name}", bytes.count >= {end}, isMutant({number}) {{
        bytes.replaceSubrange({start}..<{end}, with: Array("{after}".utf8))
    }}
"""
WORKERS = 3
SWIFT = ["swift", "build", "--build-tests", "--scratch-path", ".build"]


def write(mutants, texts):
    """The sources with all mutants asleep."""
    for file, text in texts.items():
        here = sorted((mutant for mutant in mutants if mutant.file == file), key=lambda mutant: -mutant.start)
        for mutant in here:
            changed = mutant.mutated.replace("MUTANT", f"isMutant({mutant.number})")
            text = text[: mutant.start] + changed + text[mutant.end :]
        if file == READS_MIGRATIONS:
            text = re.sub(r"let sql = (.*)$", r"let sql = withFaults(\1, file)", text, count=1, flags=re.M)
        if file.read_text() != text:
            file.write_text(text)


def in_migrations(mutants):
    """What puts faults into migrations when they are read."""
    faults = ""
    for mutant in mutants:
        text = mutant.file.read_text()
        start, end = (len(text[:position].encode()) for position in (mutant.start, mutant.end))
        faults += FAULT.format(
            name=mutant.file.name, start=start, end=end, number=mutant.number, after=mutant.after)
    return WITH_FAULTS.format(faults=faults)


def build(mutants, spares):
    """Puts spares in the places of those that the compiler refuses, until it takes all."""
    compiled = [mutant for mutant in mutants if mutant.layer != "migrations"]
    texts = {place.file: place.file.read_text() for place in compiled + sum(spares.values(), [])}
    texts[READS_MIGRATIONS] = READS_MIGRATIONS.read_text()
    for layer in {mutant.layer for mutant in compiled} | {"PostgresClient"}:
        Path("Sources", layer, "Mutants.swift").write_text(ASLEEP.format(directory=runs.SHARED))
    with Path("Sources/PostgresClient/Mutants.swift").open("a") as file:
        file.write(in_migrations([mutant for mutant in mutants if mutant.layer == "migrations"]))
    package = Path("Package.swift")
    package.write_text(re.sub(r".*treatAllWarnings.*\n| \+ \[\.strictMemorySafety\(\)\]", "", package.read_text()))
    while True:
        write(compiled, texts)
        done = subprocess.run(SWIFT, capture_output=True, text=True)
        if done.returncode == 0:
            return
        lines = defaultdict(set)
        for file, line in re.findall(r"^(\S+\.swift):(\d+):\d+: error", done.stdout, re.M):
            lines[Path(file).relative_to(Path.cwd())].add(int(line))
        refused = [
            mutant for mutant in compiled if any(abs(mutant.line - line) <= 1 for line in lines[mutant.file])]
        if not refused:
            sys.exit(done.stdout[-4000:] + done.stderr[-2000:])
        for mutant in refused:
            print(f"{mutant.number:3} does not compile  {mutant}", flush=True)
            spare = spares[mutant.layer].pop(0)
            spare.number = mutant.number
            for those in (mutants, compiled):
                those[those.index(mutant)] = spare


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--count", type=int, default=100)
    options.add_argument("--number", type=int, action="append")
    options.add_argument("--list", action="store_true")
    options = options.parse_args()
    mutants, spares = chosen(options.seed, options.count)
    if options.list:
        return print("\n".join(f"{mutant.number:3} {mutant}" for mutant in mutants))
    build(mutants, spares)
    run([mutant for mutant in mutants if not options.number or mutant.number in options.number])


def run(mutants):
    runs.SHARED.mkdir(exist_ok=True)
    workers = [runs.Worker(number) for number in range(WORKERS)]
    tests = runs.asleep(workers)
    waiting = {mutant.number: runs.candidates(mutant, tests) for mutant in mutants}
    left, survived = mutants, []
    for limit in runs.STEPS:
        work = lambda worker, mutant: (mutant, noticed(worker, mutant, waiting[mutant.number], limit))
        tried = list(runs.in_parallel(workers, work, left))
        left = [mutant for mutant, failure in tried if not failure and waiting[mutant.number]]
        survived += [mutant for mutant, failure in tried if not failure and not waiting[mutant.number]]
    print(f"{len(mutants) - len(survived)} of {len(mutants)} noticed")
    for mutant in survived:
        print(f"{mutant.number:3} survived  {mutant}")


def noticed(worker, mutant, waiting, limit):
    failure = runs.noticed(worker, mutant, waiting, limit)
    word = "noticed " if failure else f"not yet noticed, {len(waiting)} tests are left" if waiting else "SURVIVED"
    print(f"{mutant.number:3} {word}  {mutant}  {failure or ''}", flush=True)
    return failure


if __name__ == "__main__":
    main()
