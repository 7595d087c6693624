"""Integrators' HTTP clients as they are: each creates, looks up and expires sessions, without a failure and a pause."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from service import ACME_KEY, REPOSITORY, SESSIONS

ROUNDS = 20
REQUESTS = 3 * ROUNDS
# What runs them, and how many connections they make at most. Each prints a line per request: body, status, seconds.
CLIENTS = {
    # Offers HTTP/2 with every request, and the answer to such an offer is its connection's last.
    "Java's HttpClient": (["java", "Client.java"], REQUESTS),
    # Makes a second one where the next request comes before the first is free again.
    "Node's fetch": (["node", "client.mjs"], 2),
    "Go's net/http": (["go", "run", "client.go"], 1),
    "Python's httpx": ([sys.executable, "client_httpx.py"], 1),
    "Python's requests": ([sys.executable, "client_requests.py"], 1),
    "PHP's streams": (["php", "client.php"], REQUESTS),
    # One a call, and there are three.
    "curl": (["bash", "curl.sh"], 3),
    "curl --path-as-is": (["bash", "curl.sh", "--path-as-is"], 3),
    "curl --http2": (["bash", "curl.sh", "--http2"], REQUESTS),
    "curl --http1.0": (["bash", "curl.sh", "--http1.0"], REQUESTS),
}


def ended_connections(port):
    """The clients' ports of those to the port: the system remembers a connection for a minute."""
    ends = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, *addresses, state = line.split()[:4]
            ports = {int(address.rpartition(":")[2], 16) for address in addresses}
            if state == "06" and port in ports:
                ends |= ports - {port}
    return ends


@pytest.mark.parametrize("client", CLIENTS)
def test_no_failure_and_no_pause(service, client):
    command, connections = CLIENTS[client]
    # Without the proxies and options that the machine may have for them.
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    environment["GOCACHE"] = str(REPOSITORY / ".build/go")
    before = ended_connections(service.port)

    done = subprocess.run(
        [*command, service.base + SESSIONS, ACME_KEY, str(ROUNDS)], cwd=Path(__file__).parent, env=environment,
        capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr
    answers = [line.split("\t") for line in done.stdout.splitlines()]
    sessions = [json.loads(body) for body, _, _ in answers]
    service.secrets |= {session["link_token"] for session in sessions}
    assert sorted(status for _, status, _ in answers) == ["200"] * 2 * ROUNDS + ["201"] * ROUNDS
    assert len({session["link_token"] for session in sessions}) == ROUNDS
    statuses = sorted(session.get("status", "created") for session in sessions)
    assert statuses == ["created"] * ROUNDS + ["expired"] * ROUNDS + ["open"] * ROUNDS
    assert len(ended_connections(service.port) - before) <= connections
    seconds = [float(seconds) for _, _, seconds in answers]
    print(f"{client}: {sum(seconds):.2f} s, at most {max(seconds):.3f} s")
    assert max(seconds) < 1 and sum(seconds) < 3
