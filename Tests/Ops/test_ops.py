"""What ops/ has for those who deploy: checked by the programs that read it, and HAProxy in front of the running service."""
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from balancer import Balancer
from service import ACME_KEY, AUTHENTICATOR_KEY, EXECUTABLE, PROJECT, REPOSITORY, SESSIONS, free_port, http, wait_until

OPS = REPOSITORY / "ops"


@pytest.mark.parametrize("file", sorted((OPS / "kubernetes").glob("*.yaml")), ids=lambda file: file.name)
def test_kubernetes_accepts_every_member(file):
    result = subprocess.run(
        [sys.executable, "-m", "kubernetes_validate", "--strict", file], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_pod_and_a_unit_are_given_more_time_than_the_program_takes_to_end():
    pod = (OPS / "kubernetes/service.yaml").read_text()
    grace = int(re.search(r'SHUTDOWN_GRACE_SECONDS, value: "(\d+)"', pod)[1])
    assert int(re.search(r"terminationGracePeriodSeconds: (\d+)", pod)[1]) > grace
    unit = (OPS / "link-session-service.service").read_text()
    assert int(re.search(r"TimeoutStopSec=(\d+)", unit)[1]) > 25


def test_systemd_reads_the_unit(tmp_path):
    unit = tmp_path / "link-session-service.service"
    # Its program is not installed here.
    unit.write_text((OPS / unit.name).read_text().replace("/usr/local/bin/link-session-service", "/bin/true"))
    result = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert "link-session-service.service" not in result.stderr, result.stderr


def test_the_program_serves_with_the_system_calls_that_the_unit_leaves_it(service, tmp_path):
    port = free_port()
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("confined.py"), OPS / "link-session-service.service", EXECUTABLE, "serve"],
            cwd=PROJECT, env=service.environment | {"HTTP_PORT": str(port)}, stdout=log, stderr=log)
    try:
        def is_ready():
            assert process.poll() is None, f"it ended with {process.returncode}: {(tmp_path / 'log').read_text()}"
            try:
                return http.get(f"http://127.0.0.1:{port}/health/ready").status_code == 200
            except httpx.TransportError:
                return False

        wait_until("it is ready", is_ready)
        created = http.post(
            f"http://127.0.0.1:{port}{SESSIONS}", headers={"x-api-key": ACME_KEY},
            json={"user_id": "u-1", "redirect_url": "https://your-app.com/callback"})
        assert created.status_code == 201
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()


def test_pods_reach_what_the_service_takes_for_public():
    source = (REPOSITORY / "Sources/IPAddresses/IPNetwork.swift").read_text()
    network = re.compile(r"[0-9a-f.:]+/\d+")
    special = network.findall(source.partition("special = [")[2].partition("]")[0])
    policy = (OPS / "kubernetes/network.yaml").read_text().partition("cidr: 0.0.0.0/0")[2]
    assert len(special) > 20
    assert set(network.findall(policy)) == {*special, "64:ff9b::/96", "2000::/3"}


@pytest.fixture(scope="module")
def balancer(service, tmp_path_factory):
    with Balancer([service.port], tmp_path_factory.mktemp("haproxy")).running() as balancer:
        yield balancer


def test_a_session_goes_through_haproxy_and_its_log_holds_no_secret(service, balancer):
    created = balancer.client.post(
        SESSIONS, headers={"x-api-key": ACME_KEY},
        json={"user_id": "u-secret", "redirect_url": "https://your-app.com/callback"})
    assert created.status_code == 201, created.text
    token = created.json()["link_token"]
    service.secrets.add(token)
    assert balancer.client.get(f"/ui?token={token}").status_code == 200
    assert balancer.client.get(f"{SESSIONS}/{token}", headers={"x-api-key": ACME_KEY}).status_code == 200
    completed = balancer.client.post(
        f"/v2/authenticator/link-sessions/{token}/complete", headers={"x-api-key": AUTHENTICATOR_KEY})
    assert completed.status_code == 200
    assert completed.headers["strict-transport-security"] == "max-age=31536000"
    # As of a client that puts a slash too many before it.
    assert balancer.client.get(f"{SESSIONS}//{token}", headers={"x-api-key": ACME_KEY}).status_code == 404
    waited = balancer.client.get("/v2/manufacturer/events?wait=1", headers={"x-api-key": ACME_KEY})
    assert waited.status_code == 200
    request_id = completed.headers["x-request-id"]
    log = wait_until("the log has it", lambda: (text := balancer.log.read_text()) and request_id in text and text)
    for secret in [token, ACME_KEY, AUTHENTICATOR_KEY, "u-secret"]:
        assert secret not in log
    assert "link-sessions/-/complete" in log


def test_haproxy_speaks_http_2_to_clients(balancer):
    answer = subprocess.run(
        ["curl", "--silent", "--insecure", "--http2", "--write-out", "%{http_version}", "--output", "/dev/null",
         f"https://localhost:{balancer.port}/health/live"], capture_output=True, text=True, check=True)
    assert answer.stdout == "2"


def test_what_is_for_those_who_run_the_service_is_not_for_the_public(balancer):
    assert balancer.client.get("/health/ready").status_code == 404
    assert balancer.client.get("/metrics").status_code == 404
    upgrade = balancer.client.get("/health/live", headers={"upgrade": "websocket", "connection": "upgrade"})
    assert upgrade.status_code == 400
    plain = httpx.get(f"http://127.0.0.1:{balancer.plain_port}/ui", trust_env=False)
    assert plain.status_code == 308 and plain.headers["location"].startswith("https://")


def test_a_post_that_a_replica_has_begun_is_not_sent_again(tmp_path):
    seen = []

    class Replica(BaseHTTPRequestHandler):
        """It ends before its answer."""

        def do_GET(self):
            self.send_response(200)
            self.end_headers()

        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            seen.append(self.path)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Replica)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with Balancer([server.server_address[1]], tmp_path).running() as balancer:
        context = ssl._create_unverified_context()
        with context.wrap_socket(socket.create_connection(("127.0.0.1", balancer.port), timeout=20)) as client:
            # HAProxy can send again only what it has whole before it passes it on: so in one piece.
            client.sendall(f"POST {SESSIONS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{{}}".encode())
            assert client.recv(4096).startswith(b"HTTP/1.1 502")
    assert seen == [SESSIONS]
