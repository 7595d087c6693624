"""Runs tests with one mutant awake, or with none, and tells what they notice."""
import os
import queue
import re
import signal
import subprocess
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

SHARED = Path.cwd() / ".build/mutants"
PROGRAM = [
    "env", "--default-signal", "NO_COLOR=1", str(Path.cwd() / ".build/debug/link-session-servicePackageTests.xctest"),
    "--testing-library", "swift-testing"]
# Whatever a mutant lets hang is noticed: no test says nothing for so long, and for some times as long as it takes besides.
SILENCE = 60
# Where it is not known yet how long one takes.
LONGEST = 900
# So many tests learn together what they reach.
TOGETHER = 60
# Of tests of how many seconds each mutant runs first, and how many more those that are left then: most are noticed soon.
STEPS = [15, 60, 240, 3600]


@dataclass
class Test:
    """One by its name, which is a sentence and its own; how long it takes, and the mutants that it reaches."""

    name: str
    module: str
    seconds: float = 0
    fails: bool = True
    reached: set = field(default_factory=set)


class Worker:
    """Runs one program after the other. What it starts is in the program's session, or below the worker's directory."""

    def __init__(self, number):
        self.directory = Path(os.environ["TMPDIR"], str(number))
        self.directory.mkdir(exist_ok=True)
        self.directory.chmod(0o1777)

    def run(self, mutant, pattern, silence, until_failure=True):
        """(test, what became of it, seconds, the mutants it reached) of each; one that did not end comes last."""
        form = SHARED / f"form-{mutant}"
        form.write_bytes(bytes([mutant]) + bytes(255))
        process = subprocess.Popen(
            ["sh", "-c", 'cp "$0" "${0%/*}/$$" && exec "$@"', form, *PROGRAM, "--no-parallel", "--filter", pattern],
            env=os.environ | {"TMPDIR": str(self.directory)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", start_new_session=True)
        shared = SHARED / str(process.pid)
        heard, began, has_ended, current, failed = time.monotonic(), 0, threading.Event(), None, False

        def watch():
            while not has_ended.wait(1):
                if time.monotonic() - heard > silence:
                    return os.killpg(process.pid, signal.SIGKILL)

        threading.Thread(target=watch, daemon=True).start()
        for line in process.stdout:
            heard = time.monotonic()
            if match := re.match(r'◇ Test "(.*)" started\.$', line):
                current, failed, began = match[1], False, heard
            failed = failed or line.startswith("✘")
            if current and (failed and until_failure or re.match(r'[✔✘] Test ".*" .*after [\d.]+ seconds', line)):
                yield current, "failed" if failed else "", heard - began, take_marks(shared)
                current = None
                if failed and until_failure:
                    os.killpg(process.pid, signal.SIGKILL)
                    break
        process.stdout.close()
        code = process.wait()
        has_ended.set()
        end_what_is_left(process.pid, self.directory)
        if current:
            hangs = time.monotonic() - heard > silence
            yield current, "hangs" if hangs else f"crashes ({code})", time.monotonic() - began, take_marks(shared)
        shared.unlink(missing_ok=True)


def take_marks(file):
    with file.open("r+b") as opened:
        marks = opened.read()
        opened.seek(1)
        opened.write(bytes(255))
    return {number for number in range(1, 256) if marks[number]}


def end_what_is_left(session, directory):
    """A test that was ended has not ended its service, nor a PostgreSQL of its own."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            own_session = int(process.joinpath("stat").read_text().rpartition(")")[2].split()[3])
            if own_session == session or process.joinpath("cwd").readlink().is_relative_to(directory):
                os.kill(int(process.name), signal.SIGKILL)
        except (OSError, ValueError):
            continue


def in_parallel(workers, work, tasks):
    """What comes of each task, as it comes."""
    free = queue.SimpleQueue()
    for worker in workers:
        free.put(worker)

    def one(task):
        worker = free.get()
        try:
            return work(worker, task)
        finally:
            free.put(worker)

    with ThreadPoolExecutor(len(workers)) as pool:
        for future in as_completed([pool.submit(one, task) for task in tasks]):
            yield future.result()


def pattern_of(names):
    return r"/.?(" + "|".join(re.sub(r"[^A-Za-z0-9 ,]", ".", name) for name in names) + r").?\("


def asleep(workers):
    """All tests, each with what it reaches, as they are without a mutant."""
    listed = subprocess.run([*PROGRAM, "--list-tests"], capture_output=True, text=True, check=True).stdout
    tests = {}
    for line in listed.splitlines():
        if match := re.match(r"(\w+)\.(.*/)?`(.*)`\(", line):
            # Citus's need a cluster.
            if "Citus" not in (match[2] or ""):
                tests[match[3]] = Test(match[3], match[1])
    by_module = defaultdict(list)
    for test in tests.values():
        by_module[test.module].append(test.name)

    def note(results):
        for name, failure, seconds, reached in results:
            if test := tests.get(name):
                test.seconds, test.fails, test.reached = seconds, bool(failure), reached | test.reached
        failed = [f"{name}: {failure}" for name, failure, *_ in results if failure]
        print(f"without a mutant: {len(results) - len(failed)} passed", *failed, sep="\n    ", flush=True)

    tasks = [names[start : start + TOGETHER] for names in by_module.values() for start in range(0, len(names), TOGETHER)]
    for results in in_parallel(workers, run_all, sorted(tasks, key=len, reverse=True)):
        note(results)
    # At times one fails for want of time.
    for test in [test for test in tests.values() if test.fails]:
        note(run_all(workers[0], [test.name]))
    return [test for test in tests.values() if not test.fails]


def run_all(worker, names):
    """What becomes of each of the tests without a mutant, though one hang or end the program for those behind it."""
    left, results = set(names), []
    while left:
        some = list(worker.run(0, pattern_of(sorted(left)), LONGEST, until_failure=False))
        left -= {name for name, *_ in some}
        results += some
        if not some or some[-1][1] in ("", "failed"):
            break
    return results


def candidates(mutant, tests):
    """The tests that could notice it, the quick ones first."""
    # One ends in a module of quick ones and the next has begun before its marks are taken; and what is evaluated once is so
    # by a program's first, whichever it is. So a module counts whole, but for the one whose tests start the service.
    modules = {test.module for test in tests if mutant.number in test.reached} - {"LinkSessionServiceTests"}
    if mutant.layer == "migrations":
        modules = {"LinkSessionRepositoryTests", "LinkSessionServiceTests"}
    chosen = [test for test in tests if mutant.number in test.reached or test.module in modules]
    return sorted(chosen, key=lambda test: test.seconds)


def noticed(worker, mutant, waiting, limit):
    """What notices it, among tests of so many seconds in all, which no longer wait then; nothing where none does."""
    step, seconds = {}, 0.0
    while waiting and (not step or seconds + waiting[0].seconds < limit):
        test = waiting.pop(0)
        step[test.name] = test
        seconds += test.seconds
    while step:
        silence = SILENCE + 4 * max(test.seconds for test in step.values())
        results = list(worker.run(mutant.number, pattern_of(step), silence))
        for name, failure, *_ in results:
            step.pop(name, None)
            if failure and is_due_to(worker, mutant, name, silence):
                return f"{failure}: {name}"
        if not results or not results[-1][1]:
            break
    return None


def is_due_to(worker, mutant, name, silence):
    """Whether the test fails twice more, and passes without the mutant each time: at times one fails for want of time."""
    pattern = pattern_of([name])
    fails = lambda number: any([failure for _, failure, *_ in worker.run(number, pattern, silence)])
    return all(fails(mutant.number) and not fails(0) for _ in range(2))
