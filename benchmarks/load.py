"""The load: wrk, pgbench, and single requests."""
import glob
import json
import os
import signal
import socket
import subprocess
import threading
import time

import machine
import postgres
from machine import Failure

CREATE_PATH = "/v2/manufacturer/link-sessions"
GET_PATH = CREATE_PATH
AUTHENTICATOR_PATH = "/v2/authenticator/link-sessions"
LIVE_PATH = "/health/live"


class Wrk:
    """One wrk of one thread, under way from the start on."""

    _number = 0

    def __init__(self, scratch, port, request, connections, seconds, path=CREATE_PATH, tokens=None,
                 key=postgres.API_KEY, per_second=False):
        Wrk._number += 1
        self.what = f"{request} at {connections} connections"
        self.connections, self._seconds = connections, seconds
        self._result = os.path.join(scratch, f"wrk-{Wrk._number}.json")
        self._output = open(os.path.join(scratch, f"wrk-{Wrk._number}.log"), "w+")
        environment = {
            "BENCH_REQUEST": request, "BENCH_RESULT": self._result, "BENCH_PATH": path, "API_KEY": key,
            "BENCH_TOKENS": tokens or ""}
        if per_second:
            environment["BENCH_PER_SECOND"] = "yes"
        self._process = machine.start(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", "benchmarks/load.lua",
             f"http://127.0.0.1:{port}{path}"], environment, self._output)

    def hang_up(self):
        """Ends it before its time."""
        self._process.send_signal(signal.SIGINT)

    def result(self, strict=True):
        """Waits for it. Strict: any answer but the expected one, and any broken connection, fails the run."""
        try:
            self._process.wait(self._seconds + 60)
        except subprocess.TimeoutExpired:
            machine.stop(self._process)
            raise Failure(f"{self.what}: wrk did not end")
        self._output.seek(0)
        said = self._output.read()
        self._output.close()
        if self._process.returncode or not os.path.exists(self._result):
            raise Failure(f"{self.what}: wrk failed: {said.strip()[-400:]}")
        with open(self._result) as file:
            result = json.load(file)
        result["seconds"] = [[int(n) for n in line.split()] for line in result["seconds"].split(";") if line]
        result["rate"] = result["succeeded"] / (result["microseconds"] / 1e6)
        if strict:
            self._check(result)
        return result

    def _check(self, result):
        if result["other"]:
            raise Failure(f"{self.what}: {result['other']} answers of another status, such as {result['other_status']}")
        if result["refused"]:
            raise Failure(f"{self.what}: {result['refused']} answers of status 503")
        broken = {key: result[key] for key in ("connect_errors", "read_errors", "write_errors", "timeouts") if result[key]}
        if broken:
            raise Failure(f"{self.what}: broken requests: {broken}")
        if result["tokens_ran_out"]:
            raise Failure(f"{self.what}: more requests than tokens")
        if not result["succeeded"]:
            raise Failure(f"{self.what}: no answer")


class Steady:
    """Creates at an even pace, and look-ups of them, from the start on: benchmarks/steady."""

    def __init__(self, port, connections, rate, look_ups, tokens):
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "--", ".local/bench/steady", f"-address=127.0.0.1:{port}",
             f"-connections={connections}", f"-rate={rate}", f"-look-ups={look_ups}", f"-tokens={tokens}"],
            env={**os.environ, "API_KEY": postgres.API_KEY, "GOMAXPROCS": "1"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def interval(self):
        """What happened since it was last asked."""
        self._process.stdin.write("\n")
        return json.loads(self._process.stdout.readline())

    def stop(self):
        """What happened since it was last asked, until the last answer was there."""
        self._process.stdin.close()
        last = json.loads(self._process.stdout.readline())
        if self._process.wait():
            raise Failure("the steady load failed")
        return last


class Callers(threading.Thread):
    """A few callers that keep the token of every create that they were told of, until they are asked to stop."""

    COUNT = 4

    def __init__(self, port):
        super().__init__()
        self._port, self._ended = port, threading.Event()
        self.tokens, self._failure = [], None

    def run(self):
        threads = [threading.Thread(target=self._call) for _ in range(self.COUNT)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _call(self):
        try:
            with socket.create_connection(("127.0.0.1", self._port), 30) as connection, connection.makefile("rb") as stream:
                while not self._ended.is_set():
                    connection.sendall(CREATE)
                    status, body = read_answer(stream)
                    if status != 201:
                        raise Failure(f"a create was answered with {status}")
                    self.tokens.append(json.loads(body)["link_token"])
        except (OSError, ValueError, Failure) as failure:
            self._failure = failure

    def stop(self):
        """The tokens; a create without its 201 is a failure."""
        self._ended.set()
        self.join()
        if self._failure:
            raise Failure(f"a caller was not served: {self._failure}")
        return self.tokens


def check_rows(what, rows, created, connections):
    """Every 201 has its row. Of the requests under way when wrk hung up, one a connection, some have one too."""
    if rows < created:
        raise Failure(f"{what}: LOST {created - rows} rows: {created} answers 201, {rows} rows")
    if rows > created + connections:
        raise Failure(f"{what}: {rows} rows for {created} answers 201 and at most {connections} requests under way")


def pgbench(database, name, scratch, connections, seconds, on_start=None):
    """The single INSERT, one a transaction. A sample of the latencies is logged: all would slow it."""
    prefix = os.path.join(scratch, "pgbench")
    for old in glob.glob(prefix + ".*"):
        os.remove(old)
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", "--", f"{database.programs}/pgbench", "-n", "-M", "prepared",
         "-f", "benchmarks/peers/insert.sql", "-c", str(connections), "-j", "1", "-T", str(seconds),
         "--log", f"--sampling-rate={0.05 if seconds > 5 else 0.5}", f"--log-prefix={prefix}", database.url(name)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    began = machine.cpu_seconds(process.pid)
    cpu, ended = began, threading.Event()

    def watch():
        nonlocal cpu
        while not ended.wait(0.05):
            fields = machine.cpu_seconds(process.pid)
            if sum(fields) > sum(cpu):
                cpu = fields

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        output, errors = process.communicate(timeout=seconds + 60)
    finally:
        ended.set()
        watcher.join()
    if process.returncode:
        raise Failure(f"pgbench: {errors.strip()[-400:]}")
    facts = dict(line.split(" = ", 1) for line in output.splitlines() if " = " in line)
    if "tps" not in facts:
        raise Failure(f"pgbench at {connections} connections made nothing in {seconds} s: a longer run may")
    done = int(next(line.split(":")[1] for line in output.splitlines() if line.startswith("number of transactions actually")))
    latencies = sorted(
        int(line.split()[2]) for file in glob.glob(prefix + ".*") for line in open(file) if not line.startswith("#"))
    return {
        "succeeded": done, "rate": float(facts["tps"].split()[0]), "p50_us": quantile(latencies, 0.5),
        "p99_us": quantile(latencies, 0.99), "client_cpu_seconds": sum(cpu)}


def quantile(ordered, part):
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else None


def request(method, path, body="", key=postgres.API_KEY):
    return (f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nx-api-key: {key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode()


CREATE = request(
    "POST", CREATE_PATH,
    '{"user_id":"manufacturer_user_id_123","redirect_url":"https://your-app.com/callback","language":"nl"}')


def read_answer(stream):
    """The status of one answer and its body."""
    line = stream.readline()
    if not line:
        raise ConnectionError("closed")
    status, length = int(line.split()[1]), 0
    while (header := stream.readline()) not in (b"\r\n", b"\n", b""):
        name, _, value = header.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return status, stream.read(length)


def ask(port, payload, timeout=5):
    """One request on a connection of its own: the status, or None where there is no answer."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout) as connection:
            connection.sendall(payload)
            with connection.makefile("rb") as stream:
                return read_answer(stream)[0]
    except (OSError, ValueError):
        return None


def get_body(port, payload):
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(payload)
        with connection.makefile("rb") as stream:
            status, body = read_answer(stream)
    if status not in (200, 201):
        raise Failure(f"{payload.split()[1].decode()}: {status}")
    return body


def pace(port, payload, rate, count):
    """One request after the other at an even pace on one connection: from when each was due to its answer, in milliseconds."""
    taken = []
    with socket.create_connection(("127.0.0.1", port), 5) as connection, connection.makefile("rb") as stream:
        began = time.monotonic()
        for number in range(count):
            due = began + number / rate
            time.sleep(max(0, due - time.monotonic()))
            connection.sendall(payload)
            status, _ = read_answer(stream)
            if status != 200:
                raise Failure(f"{payload.split()[1].decode()}: {status}")
            taken.append((time.monotonic() - due) * 1000)
    return taken
