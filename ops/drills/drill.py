"""What the drills share: a cluster of their own, an operator's commands, a manufacturer's requests, and a table."""
import contextlib
import http.client
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "Tests/Torture"))
from cluster import Cluster
from nodes import EXECUTABLE, PROJECT, as_server as as_postgres
from service import AUTHENTICATOR_KEY, SESSIONS, free_port

REDIRECT_URL = "https://your-app.com/callback"


@contextlib.contextmanager
def cluster(manufacturers=2, settings=None, has_disks=False):
    """A primary with its standby, and two replicas, which are not started yet."""
    # Whoever ends a drill ends its servers, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="lss-drill-") as scratch:
        os.chmod(scratch, 0o755)
        made = Cluster(Path(scratch), manufacturers, has_disks)
        made.environment |= settings or {}
        made.names = [f"Manufacturer {number:02}" for number in range(manufacturers)]
        try:
            made.build()
            for environment in [made.environment, *(replica.environment for replica in made.replicas)]:
                for name in ["DATABASE_URL", "OPERATOR_DATABASE_URL"]:
                    # The servers themselves, and not the proxies before them: nothing here cuts connections.
                    environment[name] = environment[name].replace("/proxy-", "/")
            yield made
        finally:
            made.end()


def command(cluster, *arguments, expected=0, text=None):
    """What the program prints, run as an operator does."""
    done = subprocess.run(
        [EXECUTABLE, *arguments], cwd=PROJECT, env=cluster.environment, input=text, capture_output=True, text=True,
        timeout=120)
    assert done.returncode == expected, f"{arguments}: {done.returncode} {done.stdout}{done.stderr}"
    return done.stdout.strip()


def admin(cluster, *arguments, **options):
    return command(cluster, "admin", *arguments, **options)


def request(port, method, path, key=None, body=None, headers=None, seconds=8, connection=None):
    """The status and what the answer holds; a connection that fails is an OSError or an HTTPException."""
    own = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        fields = dict(headers or {})
        if key:
            fields["x-api-key"] = key
        if body is not None:
            fields.setdefault("content-type", "application/json")
            body = body if isinstance(body, str) else json.dumps(body)
        own.request(method, path, body, fields)
        answer = own.getresponse()
        text = answer.read()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text
    finally:
        if not connection:
            own.close()


def create(port, key, **options):
    return request(port, "POST", SESSIONS, key, {"user_id": "u-1", "redirect_url": REDIRECT_URL} | options)


def complete(port, token):
    return request(port, "POST", f"/v2/authenticator/link-sessions/{token}/complete", AUTHENTICATOR_KEY)


def wait_until(what, condition, seconds=60):
    """The first true value, and after how many seconds it came."""
    start = time.monotonic()
    while not (value := condition()):
        assert time.monotonic() < start + seconds, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return value, time.monotonic() - start


def answers(port, path="/health/ready", status=200):
    try:
        return request(port, "GET", path, seconds=2)[0] == status
    except (OSError, http.client.HTTPException):
        return False


def start(cluster):
    for replica in cluster.replicas:
        replica.start()
    for replica in cluster.replicas:
        wait_until("a replica is ready", lambda: answers(replica.port))


class Traffic:
    """Threads that create sessions at these ports in turn, and note when each was answered how."""

    def __init__(self, ports, key, threads=4, pause=0.05, send=create):
        self.ports, self.key, self.pause, self.send = ports, key, pause, send
        self.answers = []
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=[number], daemon=True) for number in range(threads)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        for thread in self.threads:
            thread.join()

    def run(self, number):
        while not self.is_over.wait(self.pause):
            begin = time.time()
            try:
                status, answer = self.send(self.ports[number % len(self.ports)], self.key)
            except (OSError, http.client.HTTPException) as error:
                status, answer = type(error).__name__, None
            self.answers.append((begin, time.time(), status, answer))
            number += 1

    def counts(self):
        statuses = [status for _, _, status, _ in self.answers]
        return {status: statuses.count(status) for status in sorted(set(statuses), key=str)}

    def longest_gap(self, status=201):
        """The most seconds between two such answers."""
        ends = sorted(end for _, end, found, _ in self.answers if found == status)
        return max(later - earlier for earlier, later in zip(ends, ends[1:]))


class Receiver:
    """A manufacturer's server for webhooks, which answers with `status`."""

    def __init__(self):
        self.status, self.events = 204, []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(handler):
                body = handler.rfile.read(int(handler.headers["content-length"]))
                self.events.append(json.loads(body)["id"])
                handler.send_response(self.status)
                handler.send_header("content-length", "0")
                handler.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hooks"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def runbook_sql(alert):
    """What the runbook of an alert asks the database."""
    return re.search(r"```sql\n(.*?)```", (REPOSITORY / f"docs/runbooks/{alert}.md").read_text(), re.DOTALL)[1]


def table(title, columns, rows):
    rows = [[f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row] for row in [columns, *rows]]
    widths = [max(map(len, column)) for column in zip(*rows)]
    print(f"\n{title}")
    for row in rows:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    sys.stdout.flush()
